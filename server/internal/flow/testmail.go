package flow

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/settings"
	"postroom/server/internal/trial"
)

// plan is what is to be tested.
type plan struct {
	connection core.Connection
	from       core.From
}

// mailTested is email/test's answer to success: Mattermost's, and what was found.
type mailTested struct {
	Status    string         `json:"status"`
	Diagnosis core.Diagnosis `json:"diagnosis"`
}

// TestMail sends a test mail to whoever asks, with the configuration in the body or the current one. id is the
// client's own, by which the test can be cancelled; "" for none.
func (f *Flows) TestMail(ctx context.Context, input Input, asker Asker, id string) (Answer, error) {
	plan, answer, err := f.planMattermost(ctx, input)
	if plan == nil {
		return answer, err
	}
	tested, answer, err := f.test(ctx, plan, asker, id, func(TestEvent) error { return nil })
	if tested == nil {
		return answer, err
	}
	if tested.Error != nil {
		return Answer{AppError: tested.Error, Diagnosis: &tested.Diagnosis}, nil
	}
	return Answer{JSON: mailTested{Status: statusOK["status"], Diagnosis: tested.Diagnosis}}, nil
}

// TestConnection is the same for a connection by its name, and tells what happens as it happens. Its answer is empty
// once something was told.
func (f *Flows) TestConnection(ctx context.Context, name string, input Input, asker Asker, id string, tell func(TestEvent) error) (Answer, error) {
	var plan *plan
	var answer Answer
	var err error
	switch name {
	case settings.ConnectionMattermost:
		plan, answer, err = f.planMattermost(ctx, input)
	case primary, fallback:
		plan, answer, err = f.planOwn(ctx, name, input)
	default:
		answer, err = f.appError(ctx, "no_connection")
	}
	if plan == nil {
		return answer, err
	}
	tested, answer, err := f.test(ctx, plan, asker, id, tell)
	if tested == nil {
		return answer, err
	}
	return Answer{}, tell(TestEvent{Done: tested})
}

// planMattermost reads Mattermost's settings: those posted, or the current ones.
func (f *Flows) planMattermost(ctx context.Context, input Input) (*plan, Answer, error) {
	now, current := time.Now(), f.current.Load()
	var read core.ReadTestResult
	err := f.Engine.Call(ctx, core.OpReadTest, now, core.ReadTestArgs{
		Body: input.Body, TooLarge: input.TooLarge, Current: current.saved,
	}, &read)
	if err == nil && read.Connection != nil && f.Switching.Is(*read.Connection) {
		// The relay itself is named, by the button's form or by the current settings: what is asked is whether mail
		// gets through, and the relay would say yes before it knows.
		if current.UsesOwn() {
			return f.planInForce(ctx)
		}
		read = core.ReadTestResult{}
		err = f.Engine.Call(ctx, core.OpReadTest, now, core.ReadTestArgs{Current: current.Email}, &read)
	}
	if err != nil || read.AppError != nil {
		return nil, Answer{AppError: read.AppError}, err
	}
	return &plan{connection: *read.Connection, from: *read.From}, Answer{}, nil
}

// Names of Postroom's own connections.
const (
	primary  = "primary"
	fallback = "fallback"
)

// planInForce is the connection of Postroom's own that mail goes by now.
func (f *Flows) planInForce(ctx context.Context) (*plan, Answer, error) {
	connection, err := f.Outbox.InForce(ctx)
	if err != nil {
		answer, failed := f.badSetting(ctx, err.Error())
		return nil, answer, failed
	}
	return &plan{connection: *connection, from: f.ownFrom(core.From{})}, Answer{}, nil
}

// planOwn reads the plugin's settings, {"settings": {KEY: value}} that are not saved yet or those in force.
func (f *Flows) planOwn(ctx context.Context, name string, input Input) (*plan, Answer, error) {
	if input.TooLarge {
		answer, err := f.appError(ctx, "too_large")
		return nil, answer, err
	}
	var body struct {
		Settings map[string]json.RawMessage `json:"settings"`
	}
	if len(bytes.TrimSpace(input.Body)) > 0 && json.Unmarshal(input.Body, &body) != nil {
		answer, err := f.appError(ctx, "invalid_settings")
		return nil, answer, err
	}
	args := f.connectionsArgs(f.current.Load().Snapshot)
	if body.Settings != nil {
		form := f.current.Load().Form(body.Settings)
		args.Settings, args.Missing, args.Saved = form.Settings, form.Missing, form.Saved
	}
	var out core.ConnectionsResult
	if err := f.Engine.Call(ctx, core.OpConnections, time.Now(), args, &out); err != nil {
		return nil, Answer{}, err
	}
	for _, own := range out.Connections {
		if own.Connection.Name == name {
			return &plan{connection: own.Connection, from: f.ownFrom(out.From)}, Answer{}, nil
		}
	}
	for _, problem := range out.Problems {
		if other := map[string]string{primary: "Fallback", fallback: "Primary"}[name]; !strings.HasPrefix(problem.Field, other) {
			answer, err := f.badSetting(ctx, problem.Mend+" ("+problem.Field+")")
			return nil, answer, err
		}
	}
	answer, err := f.appError(ctx, "no_connection")
	return nil, answer, err
}

// ownFrom is who mail over Postroom's own connections is from.
func (f *Flows) ownFrom(own core.From) core.From {
	site := f.current.Load().Site
	return core.From{
		FromAddress: cmp.Or(own.FromAddress, site.FromAddress), FromName: cmp.Or(own.FromName, site.FromName), ReplyTo: cmp.Or(own.ReplyTo, site.ReplyTo),
	}
}

func (f *Flows) badSetting(ctx context.Context, mend string) (Answer, error) {
	answer, err := f.appError(ctx, "connection_setting")
	if answer.AppError != nil {
		answer.AppError.Message += " " + mend
	}
	return answer, err
}

// CancelTest breaks a test off, on whichever node it runs.
func (f *Flows) CancelTest(ctx context.Context, id string, asker Asker) (Answer, error) {
	ctx, done := context.WithTimeout(ctx, acceptWithin)
	defer done()
	switch err := f.Trials.Cancel(ctx, id, asker.UserID, asker.Admin); {
	case errors.Is(err, trial.ErrUnknown):
		return f.appError(ctx, "no_such_test")
	case err != nil:
		f.Log.Error("a test could not be cancelled", "error", err)
		return f.appError(ctx, "unavailable")
	}
	return Answer{JSON: statusOK}, nil
}
