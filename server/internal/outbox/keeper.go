package outbox

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"postroom/server/internal/store"
)

// keep is the outbox's one housekeeper: it reaches the database, watches the guard over the SiteURL, starts and
// stops the workers, and finds mails that a dead node left behind.
func (o *Outbox) keep() {
	wait := 250 * time.Millisecond
	for !o.store.Migrated() {
		if !o.pause(wait) {
			return
		}
		attempt, cancel := context.WithTimeout(o.life, 3*time.Minute)
		err := o.store.Migrate(attempt)
		cancel()
		switch problem := schemaProblem(err); {
		case err == nil:
		case problem != nil:
			o.setState(Broken, problem.Error())
			o.log.Error("The outbox can't work", "problem", problem.Problem, "mend", problem.Mend)
			wait = 30 * time.Second
		default:
			o.setState(Starting, unreachable)
			wait = min(2*wait, 5*time.Second)
		}
	}
	var reaped, pruned, swept time.Time
	troubled := false
	for {
		err := o.guard()
		if err == nil && o.working() {
			// After an outage leases have lapsed whose holders are about to write their outcomes: let them first.
			if now := time.Now(); now.Sub(reaped) >= o.tuning.ReaperPeriod {
				if !troubled {
					err = o.reap()
				}
				reaped = now
			}
			if now := time.Now(); err == nil && now.Sub(pruned) >= o.tuning.PrunePeriod {
				err = o.prune()
				pruned = now
			}
			if now := time.Now(); err == nil && now.Sub(swept) >= o.tuning.SweepPeriod {
				err = o.sweep()
				swept = now
			}
		}
		if err != nil && o.life.Err() == nil {
			o.notices.warn(o.life, "The outbox's housekeeping fails: the database is out of reach or refuses it")
			o.log.Debug("housekeeping failed", "error", err.Error())
		}
		troubled = err != nil
		if !o.pause(o.tuning.KeeperPeriod) {
			return
		}
	}
}

// pause waits, less when kicked; false at the end of the outbox's life.
func (o *Outbox) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-o.life.Done():
		return false
	case <-o.kicked:
		return true
	case <-timer.C:
		return true
	}
}

func (o *Outbox) setState(state, problem string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.stopped {
		o.state, o.problem = state, problem
	}
}

func (o *Outbox) working() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.workers != nil
}

// guard compares SiteURLs and lets the workers run, or not (R28).
func (o *Outbox) guard() error {
	ctx, cancel := context.WithTimeout(o.life, 15*time.Second)
	defer cancel()
	if err := o.readClock(ctx); err != nil {
		return err
	}
	site := siteURL(o.current.Load().Snapshot)
	// A node that holds looks again and again: what was being sent when it began may have been left behind.
	news := o.changed.Swap(false)
	filled, held, err := o.store.Guard(ctx, site, o.reasons(ctx).OtherSite, !news && !o.holding)
	if err != nil {
		if news {
			o.changed.Store(true)
		}
		return err
	}
	o.holding = held && (news || o.holding)
	if held {
		problem := "The outbox was filled under the SiteURL " + filled + ", and it is now " + site +
			". Nothing is sent until an administrator decides to go on or to discard what waits."
		o.mu.Lock()
		first := o.state != Held
		o.filled = filled
		o.mu.Unlock()
		o.setState(Held, problem)
		if first {
			o.log.Error(problem)
		}
		stopping, cancel := context.WithTimeout(o.life, 5*time.Second)
		defer cancel()
		return o.stopWorkers(stopping)
	}
	if err := o.shareUpstream(ctx); err != nil {
		return err
	}
	if err := o.startWorkers(); err != nil {
		return err
	}
	o.setState(Working, "")
	return nil
}

func (o *Outbox) startWorkers() error {
	if o.working() {
		return nil
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &requestWorker{o: o})
	river.AddWorker(workers, &sendWorker{o: o})
	client, err := river.NewClient(riverpgxv5.New(o.store.Pool()), &river.Config{
		ID: o.node, Schema: store.Schema, Logger: o.riverLog(), Workers: workers,
		Hooks: []rivertype.Hook{&databaseClock{}},
		// Workers of its own for each class, so that account mail never waits behind other mail (R11).
		Queues: map[string]river.QueueConfig{
			store.QueueRequest:    {MaxWorkers: o.tuning.RequestWorkers},
			store.ClassAccount:    {MaxWorkers: o.tuning.AccountWorkers},
			store.ClassInvitation: {MaxWorkers: o.tuning.OtherWorkers}, store.ClassNotification: {MaxWorkers: o.tuning.OtherWorkers},
		},
		FetchCooldown: o.tuning.FetchCooldown, FetchPollInterval: o.tuning.FetchPoll,
		// What a dead node was working on is found by the keeper: River's own search goes by the node's clock.
		JobTimeout: requestTimeout, RescueStuckJobsAfter: time.Hour, Test: river.TestConfig{Time: &o.clock},
		// A request's row holds the typed address: it does not stay.
		CompletedJobRetentionPeriod: 15 * time.Minute,
		CancelledJobRetentionPeriod: 24 * time.Hour,
		DiscardedJobRetentionPeriod: 24 * time.Hour,
	})
	if err != nil {
		return err
	}
	if err := client.Start(context.Background()); err != nil {
		return err
	}
	o.mu.Lock()
	stopped := o.stopped
	if !stopped {
		o.workers = client
	}
	o.mu.Unlock()
	if stopped {
		return client.StopAndCancel(context.Background())
	}
	return nil
}

// stopWorkers fetches no more and waits for what runs as long as ctx allows, then breaks it off.
func (o *Outbox) stopWorkers(ctx context.Context) error {
	o.mu.Lock()
	client := o.workers
	o.workers = nil
	o.mu.Unlock()
	if client == nil {
		return nil
	}
	if err := client.Stop(ctx); err == nil {
		return nil
	}
	hard, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return client.StopAndCancel(hard)
}

// reap finds mails that should be moving and have no job that will come to them, and gives each a new one.
func (o *Outbox) reap() error {
	ctx, cancel := context.WithTimeout(o.life, 20*time.Second)
	defer cancel()
	if err := o.store.EndTests(ctx, o.reasons(ctx).TestEnded); err != nil {
		return err
	}
	switch left, err := o.store.RescueRequests(ctx, rescueAfter); {
	case err != nil:
		return err
	case left > 0:
		o.log.Warn("Requests were left behind by a node that ended; they are taken up again", "requests", left)
	}
	return o.store.InTx(ctx, func(tx pgx.Tx) error {
		stranded, err := store.Stranded(ctx, tx, o.tuning.ReaperGrace, 500)
		if err != nil || len(stranded) == 0 {
			return err
		}
		for _, mail := range stranded {
			if err := o.schedule(ctx, tx, mail.ID, mail.Class, time.Time{}); err != nil {
				return err
			}
		}
		o.log.Warn("Mails were left behind by a node or a job that ended; they are taken up again", "mails", len(stranded))
		return nil
	})
}

// schedule gives a mail a job in its class's queue at that time, by PostgreSQL's clock; the zero time is now.
func (o *Outbox) schedule(ctx context.Context, tx pgx.Tx, mailID, class string, at time.Time) error {
	job, err := o.client.InsertTx(ctx, tx, sendArgs{MailID: mailID}, &river.InsertOpts{Queue: class, ScheduledAt: at})
	if err != nil {
		return err
	}
	return store.SetJob(ctx, tx, mailID, job.Job.ID)
}
