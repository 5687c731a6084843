// Package incidents keeps what the system admins are told of: it notes that something is the matter or no longer is,
// looks itself for account mail that waits and certificates that end, and has each told, once when it opens and once
// when it is over. When that is, and in what words, the core says; that one node tells, the store's transaction sees to.
package incidents

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/store"
)

// Engine calls the core.
type Engine interface {
	Call(ctx context.Context, op string, now time.Time, args, out any) error
}

// Options are what Incidents are made of; all but Period is needed.
type Options struct {
	Store   *store.Store
	Engine  Engine
	Log     *slog.Logger
	Webhook string        // the setting, as it is at the start; Apply swaps it. Secret.
	Period  time.Duration // between two rounds, 0 for 5 s; tests shorten it
}

const (
	period = 5 * time.Second
	// lookEvery is how often the service itself looks for what is the matter.
	lookEvery = 15 * time.Second
	// roundWithin bounds a round, noteWithin what whoever notes something waits for the database.
	roundWithin = 20 * time.Second
	noteWithin  = 3 * time.Second
	// certificateEvery is how often a connection's certificate is looked at.
	certificateEvery = time.Hour
)

// Incidents is safe for concurrent use.
type Incidents struct {
	store  *store.Store
	engine Engine
	log    *slog.Logger
	period time.Duration
	hook   atomic.Pointer[webhook]
	kicked chan struct{} // something was noted
	told   chan struct{} // the webhook has something to be told

	mu sync.Mutex
	// missed is what could not be noted, and is noted when the database is back: the newest wish of each.
	missed       map[name]*wish
	certificates map[string]*seen // by connection
}

type name struct{ kind, key string }

type wish struct {
	open  bool
	facts map[string]string
}

type seen struct {
	core.SeenCertificate
	looked time.Time
	due    bool
}

// New makes them; Run keeps them.
func New(options Options) (*Incidents, error) {
	if options.Store == nil || options.Engine == nil || options.Log == nil {
		return nil, errors.New("incidents need a store, an engine and a log")
	}
	i := &Incidents{
		store: options.Store, engine: options.Engine, log: options.Log, period: options.Period,
		kicked: make(chan struct{}, 1), told: make(chan struct{}, 1), missed: map[name]*wish{}, certificates: map[string]*seen{},
	}
	if i.period <= 0 {
		i.period = period
	}
	i.Apply(options.Webhook)
	return i, nil
}

// Apply swaps the webhook's address; an empty one is none.
func (i *Incidents) Apply(address string) {
	hook, err := newWebhook(address)
	if err != nil {
		i.log.Error("no alert goes to the webhook", "error", err)
	}
	i.hook.Store(hook)
}

// Open notes that something is the matter. Whoever notes it again notes nothing new.
func (i *Incidents) Open(ctx context.Context, kind, key string, facts map[string]string) {
	i.note(ctx, name{kind, key}, &wish{open: true, facts: facts})
}

// Close notes that it is no longer.
func (i *Incidents) Close(ctx context.Context, kind, key string) {
	i.note(ctx, name{kind, key}, &wish{})
}

// Certificate notes what a mail server showed of itself.
func (i *Incidents) Certificate(connection, server string, facts *core.TLSFacts) {
	if facts == nil || len(facts.Chain) == 0 {
		return
	}
	own := facts.Chain[0]
	now := core.SeenCertificate{Connection: connection, Server: server, NotAfter: own.NotAfter, Subject: own.Subject, Issuer: own.Issuer}
	i.mu.Lock()
	defer i.mu.Unlock()
	before := i.certificates[connection]
	if before == nil {
		before = &seen{}
		i.certificates[connection] = before
	}
	// Several machines behind one name may show several: the one that ends first is the one to be told of.
	if time.Since(before.looked) < certificateEvery && now.NotAfter >= before.NotAfter {
		return
	}
	if before.due && now.NotAfter >= before.NotAfter {
		return
	}
	before.SeenCertificate, before.due = now, true
}

func (i *Incidents) note(ctx context.Context, which name, what *wish) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteWithin)
	defer cancel()
	i.mu.Lock()
	_, waits := i.missed[which]
	if waits { // in its order
		i.missed[which] = what
	}
	i.mu.Unlock()
	if waits {
		return
	}
	if err := i.write(ctx, which, what); err != nil {
		i.mu.Lock()
		i.missed[which] = what
		i.mu.Unlock()
		i.log.Error("an incident can't be noted yet: the database is out of reach or refuses it; nobody is told before it is back",
			"kind", which.kind, "key", which.key, "open", what.open)
	}
}

func (i *Incidents) write(ctx context.Context, which name, what *wish) error {
	var news bool
	var err error
	if what.open {
		news, err = i.store.OpenIncident(ctx, which.kind, which.key, what.facts)
	} else {
		news, err = i.store.CloseIncident(ctx, which.kind, which.key)
	}
	if err != nil || !news {
		return err
	}
	if what.open {
		fields := []any{"kind", which.kind, "key", which.key}
		for fact, value := range what.facts {
			fields = append(fields, fact, value)
		}
		i.log.Warn("an incident has begun", fields...)
	} else {
		i.log.Info("an incident has ended", "kind", which.kind, "key", which.key)
	}
	kick(i.kicked)
	return nil
}

func kick(loop chan struct{}) {
	select {
	case loop <- struct{}{}:
	default:
	}
}

// Run looks and tells until ctx ends.
func (i *Incidents) Run(ctx context.Context) {
	var both sync.WaitGroup
	var looked time.Time
	both.Go(func() {
		i.every(ctx, i.kicked, func() error {
			within, cancel := context.WithTimeout(ctx, roundWithin)
			defer cancel()
			return i.round(within, &looked)
		})
	})
	both.Go(func() { i.every(ctx, i.told, func() error { return i.send(ctx) }) }) // a slow webhook holds nothing up
	both.Wait()
}

func (i *Incidents) every(ctx context.Context, kicked <-chan struct{}, do func() error) {
	for {
		if i.store.Migrated() {
			if err := do(); err != nil && ctx.Err() == nil {
				i.log.Debug("incidents could not be looked at", "error", err.Error())
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-kicked:
		case <-time.After(i.period):
		}
	}
}

func (i *Incidents) round(ctx context.Context, looked *time.Time) error {
	if err := i.catchUp(ctx); err != nil {
		return err
	}
	if time.Since(*looked) >= lookEvery {
		if err := i.look(ctx); err != nil {
			return err
		}
		*looked = time.Now()
	}
	return i.tell(ctx)
}

// catchUp notes what could not be.
func (i *Incidents) catchUp(ctx context.Context) error {
	i.mu.Lock()
	missed := maps.Clone(i.missed)
	i.mu.Unlock()
	for which, what := range missed {
		if err := i.write(ctx, which, what); err != nil {
			return err
		}
		i.mu.Lock()
		if i.missed[which] == what { // a newer one stays for the next round
			delete(i.missed, which)
		}
		i.mu.Unlock()
	}
	return nil
}

// look sees what nobody notes.
func (i *Incidents) look(ctx context.Context) error {
	mail, now, err := i.store.WaitingAccountMail(ctx)
	if err != nil {
		return err
	}
	args := core.WatchArgs{AccountMail: &mail, Certificates: i.newlySeen()}
	var found core.WatchResult
	if err := i.engine.Call(ctx, core.OpWatch, now, args, &found); err != nil {
		return err
	}
	for _, is := range found.Open {
		i.Open(ctx, is.Kind, is.Key, is.Facts)
	}
	for _, is := range found.Close {
		i.Close(ctx, is.Kind, is.Key)
	}
	return nil
}

func (i *Incidents) newlySeen() []core.SeenCertificate {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := []core.SeenCertificate{}
	for _, certificate := range i.certificates {
		if certificate.due {
			certificate.due, certificate.looked = false, time.Now()
			list = append(list, certificate.SeenCertificate)
		}
	}
	return list
}

// Message is the body of an act that tells the admins.
type Message struct {
	Text string `json:"text"`
}

// tell looks at every incident that is due.
func (i *Incidents) tell(ctx context.Context) error {
	for {
		found, err := i.store.LookAtIncident(ctx, func(now time.Time, is store.Incident, recent int) (store.Telling, error) {
			return i.decide(ctx, now, is, recent)
		})
		if err != nil || !found {
			return err
		}
		kick(i.told)
	}
}

func (i *Incidents) decide(ctx context.Context, now time.Time, is store.Incident, recent int) (store.Telling, error) {
	args := core.AlertArgs{
		Kind: is.Kind, Key: is.Key, Facts: is.Facts, OpenedAt: is.OpenedAt.UnixMilli(), Told: is.Told, Recent: recent,
	}
	if is.ClosedAt != nil {
		args.ClosedAt = new(is.ClosedAt.UnixMilli())
	}
	var say core.AlertResult
	if err := i.engine.Call(ctx, core.OpAlert, now, args, &say); err != nil {
		i.log.Error("what is said of an incident is not known", "kind", is.Kind, "key", is.Key, "error", err)
		return store.Telling{}, err
	}
	telling := store.Telling{Done: say.Done}
	if say.WaitUntil != nil {
		telling.LookAt = new(time.UnixMilli(*say.WaitUntil))
	}
	if !say.Tell {
		return telling, nil
	}
	var err error
	if telling.Message, err = json.Marshal(Message{Text: say.Text}); err != nil {
		return telling, err
	}
	if i.hook.Load() != nil {
		telling.Webhook, err = json.Marshal(note{Text: say.Text, Kind: is.Kind, Key: is.Key, Phase: say.Phase, At: now.UTC().Format(time.RFC3339)})
	}
	i.log.Info("the system admins are told of an incident", "kind", is.Kind, "key", is.Key, "phase", say.Phase)
	return telling, err
}
