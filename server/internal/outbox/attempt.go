package outbox

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"postroom/server/internal/core"
	"postroom/server/internal/courier"
	"postroom/server/internal/store"
)

// attempt is one mail being sent under its lease. end, where there is one, ends the job that brought it, in the
// transaction that schedules the next.
type attempt struct {
	o     *Outbox
	in    *current
	ways  []*way // the first has been entered
	lease *store.Lease
	clear *core.OpenResult // the mail, where it need not be opened
	end   func(context.Context, pgx.Tx) error
}

// run sends the mail and writes what became of it.
func (a *attempt) run(ctx context.Context) error {
	o, lease := a.o, a.lease
	if a.ways[0].connection == nil {
		return a.finish(ctx, &store.Result{
			State: store.StateHeld, HeldBy: ref(store.HeldByCapture), Connection: a.ways[0].name,
			Reason: ref(o.reasons(ctx).Captured),
		})
	}
	mail, err := a.clear, error(nil)
	if mail == nil {
		mail, err = o.open(ctx, lease.Now, a.in.AtRestKey, lease.MailID, lease.Sealed)
	}
	if err != nil {
		o.notices.warn(ctx, "A mail can't be opened: the core fails at it")
		o.log.DebugContext(ctx, "A mail can't be opened", "mail", lease.MailID, "error", err.Error())
		return a.finish(ctx, o.fault(ctx, lease.Clock(), lease, a.ways[0], err, nil))
	}
	talking, lost, end := o.renew(ctx, lease)
	by, outcome, means := a.carry(ctx, talking, courier.Envelope{From: mail.EnvelopeFrom, To: mail.EnvelopeTo, Message: mail.Message})
	end()
	if lost() {
		o.log.Warn("A lease was lost while its mail was being sent; another sender may have it", "mail", lease.MailID, "step", outcome.Step)
	} else if ctx.Err() != nil && outcome.Step != courier.StepFinalDot {
		return a.giveBack(context.WithoutCancel(ctx))
	}
	result := o.result(context.WithoutCancel(ctx), lease, by, outcome)
	result.Hurry = means.Hurry
	if means.Unspent && means.Health.ProbeAt != nil && result.State == store.StateDeferred {
		result.Next = moment(means.Health.ProbeAt)
		return a.waitUnspent(context.WithoutCancel(ctx), result)
	}
	return a.finish(ctx, result)
}

// carry sends the mail by the first connection that takes notice of it, and concludes from each what that says of it. Before
// it would be the next one's turn nobody is waited for as long as RFC 5321 has it.
func (a *attempt) carry(ctx, talking context.Context, mail courier.Envelope) (by *way, outcome core.Outcome, means core.ConcludeResult) {
	o := a.o
	for i, next := range a.ways {
		if i > 0 {
			entered, err := o.enter(talking, next, a.lease.Class, "", "")
			if err != nil || !entered {
				return by, outcome, means
			}
			defer next.leave(a.lease.Class)
			o.log.DebugContext(ctx, "A mail goes by another connection", "mail", a.lease.MailID, "after", outcome.Step, "connection", next.name)
		}
		by = next
		outcome = o.noting(o.carrier(i+1 < len(a.ways)), next.connection).Send(talking, *next.connection, mail)
		if talking.Err() != nil { // it was broken off by us
			return by, outcome, core.ConcludeResult{}
		}
		if means = o.conclude(context.WithoutCancel(ctx), next, &outcome, &a.lease.MailID); !means.Elsewhere {
			break
		}
	}
	return by, outcome, means
}

// carrier is a courier that is less patient where another connection is left to try.
func (o *Outbox) carrier(hurried bool) *courier.Courier {
	carrier := *o.upstreamCourier
	if deadlines := &carrier.Deadlines; hurried {
		soon := o.tuning.Test
		deadlines.DNS, deadlines.Connect, deadlines.TLS = sooner(deadlines.DNS, soon.DNS), sooner(deadlines.Connect, soon.Connect), sooner(deadlines.TLS, soon.TLS)
		deadlines.Greeting, deadlines.Command = sooner(deadlines.Greeting, soon.Greeting), sooner(deadlines.Command, soon.Command)
	}
	return &carrier
}

// sooner is the shorter of two deadlines, of which zero is none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// waitUnspent gives the mail back to wait for a connection: of this attempt its log keeps what was said, and nothing else.
func (a *attempt) waitUnspent(ctx context.Context, result *store.Result) error {
	return a.untilWritten(ctx, result.State, func(ctx context.Context) (mine bool, err error) {
		err = a.o.store.InTx(ctx, func(tx pgx.Tx) error {
			if mine, err = store.ReleaseToWait(ctx, tx, a.lease, result); err != nil || !mine {
				return err
			}
			return a.next(ctx, tx, *result.Next)
		})
		return mine, err
	})
}

// giveBack is for a conversation that we broke off before the peer could have the mail.
func (a *attempt) giveBack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return a.o.store.InTx(ctx, func(tx pgx.Tx) error {
		if err := store.Release(ctx, tx, a.lease); err != nil {
			return err
		}
		return a.next(ctx, tx, time.Time{})
	})
}

// next gives the mail its next job, and ends the one that it has.
func (a *attempt) next(ctx context.Context, tx pgx.Tx, at time.Time) error {
	if err := a.o.schedule(ctx, tx, a.lease.MailID, a.lease.Class, at); err != nil || a.end == nil {
		return err
	}
	return a.end(ctx, tx)
}

// renew keeps the lease alive while the conversation lasts. The context that it gives ends when the lease is lost,
// or would have lapsed by now because the database is out of reach.
func (o *Outbox) renew(ctx context.Context, lease *store.Lease) (talking context.Context, lost func() bool, end func()) {
	talking, cancel := context.WithCancel(ctx)
	var gone atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		safe := time.Now()
		tick := time.NewTicker(o.tuning.LeaseLife / 3)
		defer tick.Stop()
		for {
			select {
			case <-talking.Done():
				return
			case <-tick.C:
			}
			began := time.Now()
			asking, stop := context.WithTimeout(talking, o.tuning.LeaseLife/6)
			mine, err := o.store.RenewLease(asking, lease, o.tuning.LeaseLife)
			stop()
			if err == nil && mine {
				safe = began
			}
			if (err == nil && !mine) || time.Since(safe) > o.tuning.LeaseLife*5/6 {
				if talking.Err() == nil {
					gone.Store(true)
				}
				cancel()
				return
			}
		}
	}()
	return talking, gone.Load, func() { cancel(); <-done }
}

// result is the core's judgement of an outcome.
func (o *Outbox) result(ctx context.Context, lease *store.Lease, way *way, outcome core.Outcome) *store.Result {
	now := lease.Clock()
	judged, err := o.judge(ctx, now, outcome, lease, way.connection)
	if err != nil {
		o.notices.warn(ctx, "An outcome can't be judged: the core fails at it")
		o.log.WarnContext(ctx, "An outcome can't be judged", "mail", lease.MailID, "error", err.Error())
		result := o.fault(ctx, now, lease, way, err, &outcome)
		result.Step = ref(outcome.Step)
		return result
	}
	return &store.Result{
		State: judged.State, Next: moment(judged.NextAttemptAt), Connection: way.name, Step: ref(outcome.Step),
		Code: judged.Code, Enhanced: judged.Enhanced, Text: ref(judged.Text), Reason: ref(judged.Reason),
	}
}

func moment(ms *int64) *time.Time {
	if ms == nil {
		return nil
	}
	return ref(time.UnixMilli(*ms))
}

// judgedAs is the kind by which the core judges a mail: of Mattermost's own kinds, which it need not know, the class.
func judgedAs(lease *store.Lease) string {
	switch lease.Kind {
	case kindReset, kindVerify, kindTest:
		return lease.Kind
	}
	return lease.Class
}

// fault is what becomes of an attempt that failed in our own code, with an outcome that could not be judged or, where it
// is nil, before the mail was on its way (R12, R13). The core decides; where it can't be asked at all an accepted mail is
// still accepted, and any other waits.
func (o *Outbox) fault(ctx context.Context, now time.Time, lease *store.Lease, way *way, cause error, outcome *core.Outcome) *store.Result {
	result := &store.Result{Connection: way.name, Fault: true}
	faults, err := o.store.Faults(ctx, lease.MailID)
	if err != nil {
		o.log.DebugContext(ctx, "A mail's faults can't be counted", "mail", lease.MailID, "error", err.Error())
	}
	args := core.FaultArgs{Faults: faults, Perhaps: lease.Perhaps, Outcome: outcome, ExpiresAt: lease.ExpiresAt.UnixMilli()}
	if code := coreCode(cause); code != "" {
		args.Error = &code
	}
	var out core.FaultResult
	if err := o.engine.Call(ctx, core.OpFault, now, args, &out); err == nil {
		result.State, result.Next, result.Reason = out.State, moment(out.NextAttemptAt), &out.Reason
		return result
	}
	result.State, result.Next = store.StateDeferred, ref(now.Add(faultRetry))
	if outcome != nil && outcome.Accepted() {
		result.State, result.Next = store.StateSent, nil
	}
	return result
}

// finish writes the result, with the job that comes next where there is one. What is known about a mail must not be
// lost to a database that is away for a while: this tries until it is written or another has the mail.
func (a *attempt) finish(ctx context.Context, result *store.Result) error {
	return a.untilWritten(ctx, result.State, func(ctx context.Context) (bool, error) { return a.tryFinish(ctx, result) })
}

func (a *attempt) untilWritten(ctx context.Context, state string, try func(context.Context) (bool, error)) error {
	o, lease := a.o, a.lease
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendMargin-time.Minute)
	defer cancel()
	for {
		trying, stop := context.WithTimeout(writing, 5*time.Second)
		mine, err := try(trying)
		stop()
		switch {
		case err == nil && !mine:
			o.log.Warn("A mail's outcome was not written: its lease had gone to another", "mail", lease.MailID, "state", state)
			return nil
		case err == nil:
			o.count.Attempt(lease.Class, state, lease.Clock().Sub(lease.QueuedAt))
			return nil
		case ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded):
			// Stopping: a few more tries, then the lease lapses and another sends it again.
			var soon context.CancelFunc
			writing, soon = context.WithTimeout(writing, 3*time.Second)
			defer soon()
		}
		o.notices.warn(writing, "A mail's outcome can't be written: the database is out of reach or refuses it")
		select {
		case <-writing.Done():
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (a *attempt) tryFinish(ctx context.Context, result *store.Result) (bool, error) {
	if result.Next == nil {
		return a.o.store.Finish(ctx, a.lease, result) // River completes a job by itself, in batches
	}
	mine := false
	err := a.o.store.InTx(ctx, func(tx pgx.Tx) error {
		var err error
		if mine, err = store.Finish(ctx, tx, a.lease, result); err != nil || !mine {
			return err
		}
		return a.next(ctx, tx, *result.Next)
	})
	return mine, err
}
