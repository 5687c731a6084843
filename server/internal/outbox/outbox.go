// Package outbox takes mail and loses none: a request is accepted once its River job is committed; everything
// that depends on the account happens in the job; who may send a mail is decided by a lease in the mail's row.
//
// Architecture Invariant: the mails table is the truth and River only schedules. A job that finds its mail sent,
// leased or cancelled ends without effect, so that one job too many is harmless; one too few is found by the keeper.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"postroom/server/internal/core"
	"postroom/server/internal/courier"
	"postroom/server/internal/metrics"
	"postroom/server/internal/settings"
	"postroom/server/internal/store"
)

// Engine calls the core.
type Engine interface {
	Call(ctx context.Context, op string, now time.Time, args, out any) error
}

// Options are what an Outbox is made of; all of it is needed but Incidents, Certificate, Tuning and Metrics.
type Options struct {
	Store    *store.Store
	Engine   Engine
	Log      *slog.Logger
	Node     string             // names this process in leases and River, unique among those alive
	Settings *settings.Snapshot // the first; Apply swaps it
	// Incidents hears what the admins are to be told of; nil for nobody.
	Incidents Incidents
	// Certificate hears what a mail server showed of itself; nil for nobody.
	Certificate func(connection, server string, facts *core.TLSFacts)
	Tuning      *Tuning          // nil for Defaults
	Metrics     *metrics.Metrics // counts attempts; nil for nobody
	Clock       func() time.Time // the node's, nil for time.Now; tests put it off
}

// Outbox is this node's share of the outbox. It is safe for concurrent use.
type Outbox struct {
	store  *store.Store
	engine Engine
	log    *slog.Logger
	node   string
	tuning Tuning
	count  *metrics.Metrics
	clock  clock
	// incidents is never nil.
	incidents   Incidents
	certificate func(connection, server string, facts *core.TLSFacts)

	current  atomic.Pointer[current]
	client   *river.Client[pgx.Tx] // inserts only: it works before and without the workers
	accepts  chan *accepting
	relays   chan *relaying
	flood    flood
	shares   shares
	steering steering
	// upstreamCourier carries all mail but tests: it keeps connections and access tokens from one to the next.
	upstreamCourier *courier.Courier
	words           atomic.Pointer[core.Reasons] // the core's, asked for once
	notices         notices

	life       context.Context // of the keeper and the acceptor; ended by Stop
	end        context.CancelFunc
	ended      sync.WaitGroup
	senders    map[string]chan struct{} // by class, a place for each mail that is sent at once
	sending    sync.WaitGroup
	sendLife   context.Context
	endSending context.CancelFunc

	// relayTrouble: the relay's last mail could not be stored, as the database was out of reach.
	relayTrouble atomic.Bool

	kicked  chan struct{} // settings changed or a decision was made
	changed atomic.Bool   // the settings, since the guard was last asked
	holding bool          // the keeper's: this node holds what waits, and was not only late

	mu      sync.Mutex
	started bool
	stopped bool
	state   string
	problem string
	filled  string                // the SiteURL the outbox was filled under
	workers *river.Client[pgx.Tx] // nil while nothing is worked
}

// New makes an Outbox that does nothing yet.
func New(options Options) (*Outbox, error) {
	if options.Store == nil || options.Engine == nil || options.Log == nil || options.Node == "" || options.Settings == nil {
		return nil, errors.New("an outbox needs a store, an engine, a log, a node's name and settings")
	}
	o := &Outbox{
		store: options.Store, engine: options.Engine, log: options.Log, node: options.Node, tuning: Defaults, count: options.Metrics,
		accepts: make(chan *accepting, 4096), relays: make(chan *relaying, 256), kicked: make(chan struct{}, 1), state: Starting,
		problem: "The outbox was not started.",
	}
	if options.Tuning != nil {
		o.tuning = *options.Tuning
	}
	if o.clock.node = options.Clock; o.clock.node == nil {
		o.clock.node = time.Now
	}
	o.certificate = options.Certificate
	if o.incidents = options.Incidents; o.incidents == nil {
		o.incidents = untold{}
	}
	o.notices.log = options.Log
	o.shares.of = map[string]*upstream{}
	o.steering.init()
	o.upstreamCourier = &courier.Courier{Deadlines: o.tuning.Queue, Name: o.tuning.HelloName, Pool: &courier.Pool{Count: o.count.Connection}}
	o.current.Store(&current{Snapshot: options.Settings})
	o.changed.Store(true)
	o.senders = map[string]chan struct{}{
		store.ClassAccount:      make(chan struct{}, o.tuning.Senders),
		store.ClassInvitation:   make(chan struct{}, o.tuning.OtherSenders),
		store.ClassNotification: make(chan struct{}, o.tuning.OtherSenders),
	}
	o.life, o.end = context.WithCancel(context.Background())
	o.sendLife, o.endSending = context.WithCancel(context.Background())
	client, err := river.NewClient(riverpgxv5.New(o.store.Pool()), &river.Config{
		Schema: store.Schema, Logger: o.riverLog(), Hooks: []rivertype.Hook{&databaseClock{}},
		// Every commit of the acceptor tells the workers: they need not poll.
		FetchCooldown: river.FetchCooldownMin, ID: o.node + "-accept",
	})
	if err != nil {
		return nil, fmt.Errorf("make River's client: %w", err)
	}
	o.client = client
	return o, nil
}

// Start migrates the schema, unless that was done, and begins to work. A database out of reach is no error: the outbox then tries again
// by itself, in the background, and Accept and Status say so. A *store.SchemaError is returned at once, nothing
// runs then, and Start may be called again. ctx bounds the start only.
func (o *Outbox) Start(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.started || o.stopped {
		return errors.New("the outbox was started before")
	}
	if !o.store.Migrated() {
		err := o.store.Migrate(ctx)
		if problem := schemaProblem(err); problem != nil {
			o.state, o.problem = Broken, problem.Error()
			return problem
		}
		if err != nil {
			o.state, o.problem = Starting, unreachable
			o.log.Warn("The database is out of reach; trying again in the background", "error", err.Error())
		}
	}
	o.started = true
	o.ended.Go(o.acceptLoop)
	o.ended.Go(o.relayLoop)
	o.ended.Go(o.keep)
	o.ended.Go(o.steerLoop)
	return nil
}

const unreachable = "The database is out of reach."

func schemaProblem(err error) *store.SchemaError {
	var problem *store.SchemaError
	errors.As(err, &problem)
	return problem
}

// Stop takes no more jobs and waits, as long as ctx allows, for those that run; those left are broken off, and
// their mails are given back to the queue.
func (o *Outbox) Stop(ctx context.Context) error {
	o.mu.Lock()
	o.stopped = true
	o.state, o.problem = Stopped, ""
	o.mu.Unlock()
	o.end()
	err := o.stopWorkers(ctx)
	o.waitForSenders(ctx)
	o.upstreamCourier.Pool.Close()
	o.ended.Wait()
	return err
}

// Apply swaps the settings; a SiteURL other than the outbox was filled under holds everything (R28).
func (o *Outbox) Apply(snapshot *settings.Snapshot) {
	o.current.Store(&current{Snapshot: snapshot})
	o.changed.Store(true)
	o.upstreamCourier.Pool.EndIdle()
	o.kick()
	o.steering.forget()
}

func (o *Outbox) kick() {
	select {
	case o.kicked <- struct{}{}:
	default:
	}
}

// States of the outbox.
const (
	Starting = "starting" // the database is not reached yet
	Working  = "working"
	Held     = "held"   // the SiteURL differs from the one the outbox was filled under (R28)
	Broken   = "broken" // a person must mend something: see Status.Problem
	Stopped  = "stopped"
)

// Status is the outbox at a glance.
type Status struct {
	State      string           `json:"state"`
	Problem    string           `json:"problem"`    // why Starting, Held or Broken, in plain words
	Connection string           `json:"connection"` // primary, fallback, mattermost, capture; empty when it can't be told
	Counts     map[string]int64 `json:"counts"`     // mails by state; nil when the database is out of reach
	FilledFor  string           `json:"filled_for"` // the SiteURL it was filled under, while Held
	Warnings   []string         `json:"warnings"`
}

// State is one of the above.
func (o *Outbox) State() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.state
}

// Status asks the database for the counts, bounded by ctx.
func (o *Outbox) Status(ctx context.Context) Status {
	o.mu.Lock()
	status := Status{State: o.state, Problem: o.problem, Warnings: o.notices.recent()}
	if o.state == Held {
		status.FilledFor = o.filled
	}
	o.mu.Unlock()
	if now, err := o.steer(ctx, o.current.Load()); err == nil {
		status.Connection = now.all[0].name
		if len(now.ways) > 0 {
			status.Connection = now.ways[0].name
		}
	}
	if counts, err := o.store.Counts(ctx); err == nil {
		status.Counts = counts
	} else if status.State == Working {
		status.Problem = unreachable
	}
	return status
}

// ErrNotHeld is Decide's answer when there is nothing to decide.
var ErrNotHeld = errors.New("the outbox is not held")

// Decide ends a hold (R28): goOn sends what waits under the new SiteURL (account mails are minted and composed
// anew), else it is cancelled.
func (o *Outbox) Decide(ctx context.Context, goOn bool) error {
	o.mu.Lock()
	held := o.state == Held
	o.mu.Unlock()
	site := siteURL(o.current.Load().Snapshot)
	if !held {
		return ErrNotHeld
	}
	if site == "" {
		return errors.New("ServiceSettings.SiteURL is empty; set it first, as links start with it")
	}
	if err := o.store.Decide(ctx, site, o.reasons(ctx).Discarded, goOn); err != nil {
		return err
	}
	o.log.Warn("An administrator decided over held mail", "go_on", goOn, "site_url", site)
	o.kick()
	return nil
}

// databaseClock leaves every time of a new job to PostgreSQL: River would take this node's, which may be minutes
// off (R8). River's SQL takes the zero time for "now()".
type databaseClock struct{ river.HookDefaults }

// InsertBegin is River's hook.
func (*databaseClock) InsertBegin(_ context.Context, job *rivertype.JobInsertParams) error {
	if job.CreatedAt == nil {
		job.CreatedAt = new(time.Time)
	}
	if job.ScheduledAt == nil {
		job.ScheduledAt = new(time.Time)
	}
	return nil
}
