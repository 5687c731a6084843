package flow

import (
	"context"
	"slices"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/outbox"
	"postroom/server/internal/settings"
)

// withConnections asks the core what the plugin's settings come to as connections. Mail over them is from whom they say,
// as it is composed before it is known which of them it goes by. What is wrong is logged once.
func (f *Flows) withConnections(ctx context.Context, snapshot *settings.Snapshot) *settings.Snapshot {
	with := *snapshot
	var out core.ConnectionsResult
	if err := f.Engine.Call(ctx, core.OpConnections, time.Now(), f.connectionsArgs(snapshot), &out); err != nil {
		f.Log.Error("the settings of Postroom's own connections can't be read: the core fails at them", "error", err)
		return &with
	}
	with.Connections = &out
	f.tellProblems(out)
	if !out.Own {
		return &with
	}
	for _, from := range []struct {
		own    string
		member *string
	}{{out.From.FromName, &with.Site.FromName}, {out.From.FromAddress, &with.Site.FromAddress}, {out.From.ReplyTo, &with.Site.ReplyTo}} {
		if from.own != "" {
			*from.member = from.own
		}
	}
	return &with
}

// connectionsArgs are the plugin's settings in force.
func (f *Flows) connectionsArgs(snapshot *settings.Snapshot) *core.ConnectionsArgs {
	args := &core.ConnectionsArgs{Settings: snapshot.Own, Missing: snapshot.Missing}
	if args.Settings == nil {
		args.Settings = map[string]string{}
	}
	if args.Missing == nil {
		args.Missing = []core.Missing{}
	}
	if port, err := f.Switching.Port(); err == nil {
		args.RelayPort = &port.Port
	}
	return args
}

// tellProblems logs what was not wrong before.
func (f *Flows) tellProblems(now core.ConnectionsResult) {
	var before []core.Problem
	if current := f.current.Load(); current != nil && current.Connections != nil {
		before = current.Connections.Problems
	}
	log := f.Log.Warn
	if now.Own {
		log = f.Log.Error
	}
	for _, problem := range now.Problems {
		if !slices.Contains(before, problem) {
			log("a setting of Postroom's own connections can't be used: "+problem.Mend, "setting", problem.Field)
		}
	}
}

// ConnectionList is the answer of GET /api/v1/connections.
type ConnectionList struct {
	Connections []outbox.ConnectionStatus `json:"connections"`
	// Settings are the plugin's, without secrets, Fixed those that an environment variable sets, Problems those that
	// can't be used.
	Settings map[string]string `json:"settings"`
	Fixed    []string          `json:"fixed"`
	Problems []core.Problem    `json:"problems"`
}

// connectionList gathers it.
func (f *Flows) connectionList(ctx context.Context) ConnectionList {
	in := f.current.Load()
	list := ConnectionList{Connections: f.Outbox.Connections(ctx), Settings: in.Shown(), Fixed: in.Fixed, Problems: []core.Problem{}}
	if in.Connections != nil {
		list.Problems = in.Connections.Problems
	}
	return list
}

// Connections answers GET /api/v1/connections.
func (f *Flows) Connections(ctx context.Context) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, acceptWithin)
	defer cancel()
	return Answer{JSON: f.connectionList(ctx)}, nil
}
