package outbox

import (
	"context"
	"maps"
	"net"
	"reflect"
	"strconv"
	"sync"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/courier"
	"postroom/server/internal/store"
)

// steering is what this node knows of the connections' health. The rows are all nodes': read again every SteerPeriod,
// written under a revision. What follows from them is the core's decision, kept until a row or the settings change.
type steering struct {
	mu      sync.Mutex
	rows    map[store.Connection]store.ConnectionHealth
	decided *course
	probing map[store.Connection]bool
	told    map[string]bool // by kind and key: whether it was said to be open; what was said of neither is not in it
	news    chan struct{}   // a row was written
}

func (s *steering) init() {
	s.rows, s.probing, s.told = map[store.Connection]store.ConnectionHealth{}, map[store.Connection]bool{}, map[string]bool{}
	s.news = make(chan struct{}, 1)
}

// forget has the next question asked anew.
func (s *steering) forget() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// course is which way mail goes now.
type course struct {
	in   *current
	all  []*way // that the settings name
	ways []*way // to be tried in this order; none while mail waits
	core.SteerResult
}

// steer is the course under those settings.
func (o *Outbox) steer(ctx context.Context, in *current) (*course, error) {
	all, err := o.ways(ctx, in)
	if err != nil {
		return nil, err
	}
	if all[0].connection == nil { // captured
		return &course{in: in, all: all, ways: all}, nil
	}
	s := &o.steering
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.decided != nil && s.decided.in == in {
		return s.decided, nil
	}
	args := core.SteerArgs{Connections: []core.Candidate{}}
	for _, it := range all {
		args.Connections = append(args.Connections, core.Candidate{Name: it.name, Server: it.server(), Health: s.rows[it.is()].Health})
	}
	next := &course{in: in, all: all}
	if err := o.engine.Call(ctx, core.OpSteer, o.clock.Now(), &args, &next.SteerResult); err != nil {
		return nil, err
	}
	for _, name := range next.Use {
		next.ways = append(next.ways, named(all, name))
	}
	s.decided = next
	return next, nil
}

func named(ways []*way, name string) *way {
	for _, it := range ways {
		if it.name == name {
			return it
		}
	}
	return nil
}

func (w *way) server() string {
	return net.JoinHostPort(w.connection.Server, strconv.Itoa(w.connection.Port))
}

func (w *way) is() store.Connection { return store.Connection{Name: w.name, Mark: w.mark} }

// steerLoop keeps the course up with the rows, probes what is to be probed, and tells what is to be told.
func (o *Outbox) steerLoop() {
	tick := time.NewTicker(o.tuning.SteerPeriod)
	defer tick.Stop()
	for {
		select {
		case <-o.life.Done():
			return
		case <-tick.C:
		case <-o.steering.news:
		}
		if !o.working() {
			continue
		}
		if err := o.keepCourse(); err != nil && o.life.Err() == nil {
			o.notices.warn(o.life, "How the connections do can't be looked up: the database is out of reach or refuses it")
			o.log.Debug("steering failed", "error", err.Error())
		}
	}
}

// forwardAtOnce bounds a statement.
const forwardAtOnce = 500

func (o *Outbox) keepCourse() error {
	ctx, cancel := context.WithTimeout(o.life, 10*time.Second)
	defer cancel()
	if err := o.readHealth(ctx); err != nil {
		return err
	}
	now, err := o.steer(ctx, o.current.Load())
	if err != nil {
		return nil // what is wrong with the settings is told where mail waits for it
	}
	for _, name := range now.Probe {
		o.beginProbe(named(now.all, name))
	}
	o.tellIncidents(ctx, now)
	for now.Well && ctx.Err() == nil {
		forward, err := o.store.BringForward(ctx, forwardAtOnce)
		if err != nil {
			return err
		}
		if forward > 0 {
			o.log.Info("Mails that waited for a connection go on", "mails", forward, "connection", now.Use[0])
		}
		if forward < forwardAtOnce {
			break
		}
	}
	return nil
}

func (o *Outbox) readHealth(ctx context.Context) error {
	rows, err := o.store.ConnectionsHealth(ctx)
	if err != nil {
		return err
	}
	s := &o.steering
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows, s.decided = rows, nil
	return nil
}

// tellIncidents says what has changed since this node last said it, and all of it once.
func (o *Outbox) tellIncidents(ctx context.Context, now *course) {
	told := o.steering.told // the loop's own
	for _, it := range now.Open {
		if key := it.Kind + "/" + it.Key; !told[key] {
			o.log.Warn("A connection is not well", "connection", it.Key, "incident", it.Kind, "server", it.Facts[core.FactServer], "why", it.Facts[core.FactReason])
			o.incidents.Open(ctx, it.Kind, it.Key, it.Facts)
			told[key] = true
		}
	}
	for _, it := range now.Close {
		key := it.Kind + "/" + it.Key
		open, known := told[key]
		if open {
			o.log.Info("A connection is well again", "connection", it.Key, "incident", it.Kind)
		}
		if open || !known {
			o.incidents.Close(ctx, it.Kind, it.Key)
			told[key] = false
		}
	}
}

// pristine is the health of a connection that never had trouble.
func pristine() *core.Health { return &core.Health{State: core.HealthOK, PutOff: []string{}} }

// untroubled is whether a mail that was taken changes nothing.
func untroubled(health *core.Health) bool {
	return health == nil || health.State == core.HealthOK && health.Failures == 0 && len(health.PutOff) == 0 && health.Rounds == 0
}

// conclude has the core say what the end of a conversation means for its connection, and writes that down. outcome is nil
// for a probe that came through, mail for a probe.
func (o *Outbox) conclude(ctx context.Context, by *way, outcome *core.Outcome, mail *string) core.ConcludeResult {
	s, it := &o.steering, by.is()
	var out core.ConcludeResult
	for range 6 {
		s.mu.Lock()
		row := s.rows[it]
		s.mu.Unlock()
		if outcome != nil && outcome.Accepted() && untroubled(row.Health) {
			return core.ConcludeResult{}
		}
		args := core.ConcludeArgs{Health: row.Health, Outcome: outcome, Mail: mail}
		if err := o.engine.Call(ctx, core.OpConclude, o.clock.Now(), &args, &out); err != nil {
			o.notices.warn(ctx, "What a conversation says of its connection can't be told: the core fails at it")
			return core.ConcludeResult{}
		}
		before := row.Health
		if before == nil {
			before = pristine()
		}
		if reflect.DeepEqual(*before, out.Health) {
			return out
		}
		writing, cancel := context.WithTimeout(ctx, 3*time.Second)
		saved, err := o.store.SaveHealth(writing, it, &out.Health, row.Revision)
		if err == nil && !saved { // another node, or another mail, was first
			err = o.readHealth(writing)
			cancel()
			if err == nil {
				continue
			}
		} else {
			cancel()
		}
		revision := row.Revision
		if err == nil {
			revision++
		} else {
			o.notices.warn(ctx, "How a connection does can't be noted for the other nodes: the database is out of reach or refuses it")
		}
		s.mu.Lock()
		// What was written meanwhile is newer.
		if s.rows[it].Revision <= row.Revision {
			rows := maps.Clone(s.rows)
			rows[it] = store.ConnectionHealth{Health: &out.Health, Revision: revision}
			s.rows = rows
		}
		s.decided = nil
		s.mu.Unlock()
		if before.State != out.Health.State {
			o.log.Warn("A connection's state has changed", "connection", by.name, "from", before.State, "to", out.Health.State, "why", out.Health.Reason)
		}
		s.forget()
		return out
	}
	return out
}

// probeMargin is what a probe may take beyond its conversation before another node may try.
const probeMargin = 30 * time.Second

// beginProbe asks a connection, by a conversation without mail, whether it does again; one node at a time.
func (o *Outbox) beginProbe(by *way) {
	s, it := &o.steering, by.is()
	s.mu.Lock()
	busy, row := s.probing[it], s.rows[it]
	s.probing[it] = true
	s.mu.Unlock()
	if busy {
		return
	}
	o.ended.Go(func() {
		defer func() {
			s.mu.Lock()
			delete(s.probing, it)
			s.mu.Unlock()
		}()
		ctx, cancel := context.WithTimeout(o.life, o.tuning.Test.Total+probeMargin)
		defer cancel()
		mine, err := o.store.BeginProbe(ctx, it, row.Revision, o.tuning.Test.Total+probeMargin)
		if err != nil || !mine {
			return
		}
		asking := courier.Courier{Deadlines: o.tuning.Test, Name: o.tuning.HelloName}
		outcome := asking.Probe(ctx, *by.connection)
		ending, done := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer done()
		if o.life.Err() == nil {
			o.conclude(ending, by, outcome, nil)
		}
		if err := o.store.EndProbe(ending, it); err != nil {
			o.log.Debug("a probe's end can't be noted", "error", err.Error())
		}
	})
}

// heard is told that a connection took a mail that was none of the queue's, as a test's: it need not be probed.
func (o *Outbox) heard(ctx context.Context, connection *core.Connection) {
	in := o.current.Load()
	ways, err := o.ways(ctx, in)
	if err != nil {
		return
	}
	for _, it := range ways {
		if it.connection != nil && it.mark == markOf(in.AtRestKey, connection) {
			o.conclude(ctx, it, nil, nil)
		}
	}
}
