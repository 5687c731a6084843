// Package flow is the order of steps, and nothing else: a route or hook comes in, facts are gathered, the core
// decides, the service acts.
package flow

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/dns"
	"postroom/server/internal/engine"
	"postroom/server/internal/limits"
	"postroom/server/internal/link"
	"postroom/server/internal/mattermost"
	"postroom/server/internal/metrics"
	"postroom/server/internal/outbox"
	"postroom/server/internal/settings"
	"postroom/server/internal/store"
	"postroom/server/internal/subjects"
	"postroom/server/internal/trial"
)

// Flows are the ways through the service.
type Flows struct {
	Engine *engine.Engine
	Store  *store.Store
	Outbox *outbox.Outbox
	Limits *limits.Memory
	Log    *slog.Logger
	// Subjects are how the Mattermost server on this machine words its mails' subjects.
	Subjects *subjects.Subjects
	// Switching points Mattermost's mail at the relay and back.
	Switching *Switching
	// Resolver looks up what the DNS says of a sender.
	Resolver *dns.Resolver
	// Trials are the tests of connections that run on this node.
	Trials *trial.Trials
	// Process is what a support packet says of this service.
	Process func() Process
	// Aside shows one user what nobody else sees.
	Aside   func(link.Aside)
	Metrics *metrics.Metrics

	current atomic.Pointer[current]
}

// current is what changes with the settings, swapped whole.
type current struct {
	*settings.Snapshot // Email is the upstream's
	saved              json.RawMessage
	upstreamErr        error // why the upstream is not known
	local              *mattermost.Local
	localErr           error
}

// asSaved is the snapshot with Mattermost's EmailSettings as they are, which may name the relay.
func (c *current) asSaved() *settings.Snapshot {
	saved := *c.Snapshot
	saved.Email = c.saved
	return &saved
}

// Apply swaps the settings, and gives them as the outbox is to have them: with the upstream's EmailSettings where
// Mattermost's name the relay.
func (f *Flows) Apply(ctx context.Context, snapshot *settings.Snapshot) *settings.Snapshot {
	saved := snapshot.Email
	snapshot = f.withConnections(ctx, snapshot)
	snapshot, upstreamErr := f.Switching.Upstream(ctx, snapshot)
	if upstreamErr != nil && !f.toldOf(upstreamErr) {
		f.Log.Error("Mattermost's mail comes to the relay, and where it goes on to is not known: it waits", "error", upstreamErr)
	}
	if trouble := f.Switching.notAsRelay(saved); trouble != "" {
		f.Log.Error(trouble)
	}
	local, err := mattermost.New(snapshot)
	if err != nil {
		f.Log.Error("links can't be redeemed", "error", err)
	}
	f.current.Store(&current{Snapshot: snapshot, saved: saved, upstreamErr: upstreamErr, local: local, localErr: err})
	return snapshot
}

// toldOf is whether that error was in force, and logged, before.
func (f *Flows) toldOf(err error) bool {
	before := f.current.Load()
	return before != nil && before.upstreamErr != nil && before.upstreamErr.Error() == err.Error()
}

// UpstreamKnown is false while mail waits for it to be known where it goes.
func (f *Flows) UpstreamKnown() bool { return f.current.Load().upstreamErr == nil }

// Asker is who asks, as the shim established it.
type Asker struct {
	UserID         string // "" for nobody
	Address        string
	RequestID      string
	UserAgent      string
	AcceptLanguage string
	Admin          bool // has manage_system; said of the routes that ask
}

// Input is a request's body, at most the route's limit.
type Input struct {
	Body     []byte
	TooLarge bool
}

// Answer is what goes back: a Page, an AppError, or JSON.
type Answer struct {
	Page     *core.Page
	AppError *core.AppError
	JSON     any
	// Diagnosis goes with an AppError that a test ended in, RetryAt with one that ends then.
	Diagnosis *core.Diagnosis
	RetryAt   time.Time
	// Audit is written to Mattermost's audit log by the shim.
	Audit *link.Audit
	// Switch is carried out by the shim before anything is answered.
	Switch *link.Switch
}

// statusOK is Mattermost's own answer to what was done.
var statusOK = map[string]string{"status": "OK"}

// appError is one of the core's ready-made errors.
func (f *Flows) appError(ctx context.Context, name string) (Answer, error) {
	var result core.AppErrorResult
	err := f.Engine.Call(ctx, core.OpAppError, time.Now(), core.AppErrorArgs{Error: name}, &result)
	return Answer{AppError: result.AppError}, err
}

// page is one of the core's ready-made pages.
func (f *Flows) page(ctx context.Context, name string, asker Asker) (Answer, error) {
	var out core.PageResult
	args := core.PageArgs{Page: name, Site: &f.current.Load().Site, AcceptLanguage: asker.AcceptLanguage}
	err := f.Engine.Call(ctx, core.OpPage, time.Now(), args, &out)
	if err != nil { // a SiteURL that can't be used must not hide the page
		args.Site = nil
		err = f.Engine.Call(ctx, core.OpPage, time.Now(), args, &out)
	}
	return Answer{Page: &out.Page}, err
}
