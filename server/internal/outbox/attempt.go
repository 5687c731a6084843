package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"postroom/server/internal/core"
	"postroom/server/internal/courier"
	"postroom/server/internal/store"
)

// attempt sends the mail under its lease and writes what became of it.
func (w *sendWorker) attempt(ctx context.Context, job *river.Job[sendArgs], in *current, way *route, lease *store.Lease) (time.Duration, error) {
	o := w.o
	if way.connection == nil {
		return 0, w.finish(ctx, job, lease, &store.Result{
			State: store.StateHeld, HeldBy: ref(store.HeldByCapture), Connection: way.name,
			Reason: ref("Captured: the connection delivers nothing and keeps every mail for viewing."),
		})
	}
	mail, err := o.open(ctx, lease.Now, in.AtRestKey, lease.MailID, lease.Sealed)
	if err != nil {
		return 0, w.finish(ctx, job, lease, o.fault(ctx, lease, way, err))
	}
	talking, lost, end := o.renew(ctx, lease)
	outcome := o.courier(o.tuning.Queue).Send(talking, *way.connection, courier.Envelope{
		From: mail.From, To: mail.To, Message: mail.Message,
	})
	end()
	if lost() {
		o.log.Warn("A lease was lost while its mail was being sent; another sender may have it", "mail", lease.MailID, "step", outcome.Step)
	} else if ctx.Err() != nil && outcome.Step != courier.StepFinalDot {
		// Broken off by us before the peer could have it: as if this attempt had not been.
		giving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return time.Second, o.store.ReleaseLease(giving, lease)
	}
	return 0, w.finish(ctx, job, lease, o.result(context.WithoutCancel(ctx), lease, way, outcome))
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

// result is the core's judgement of an outcome. Where the core can't be asked, an accepted mail is still accepted.
func (o *Outbox) result(ctx context.Context, lease *store.Lease, way *route, outcome core.Outcome) *store.Result {
	result := &store.Result{Connection: way.name, Step: ref(outcome.Step)}
	// By PostgreSQL's clock as it was at the lease, and the time that passed here since: clocks differ (R8).
	now, err := o.store.Now(ctx)
	if err != nil {
		now = time.Now()
	}
	judged, err := o.judge(ctx, now, outcome, lease.Kind, lease.Attempts, lease.ExpiresAt)
	if err != nil {
		o.notices.warn(ctx, "The core can't judge an outcome: "+err.Error())
		result.State, result.Fault = store.StateDeferred, true
		result.Next = ref(now.Add(o.tuning.FaultRetry))
		if accepted(outcome) {
			result.State, result.Next = store.StateSent, nil
		}
		return result
	}
	result.State, result.Code, result.Enhanced = judged.State, judged.Code, judged.Enhanced
	result.Text, result.Reason = ref(judged.Text), ref(judged.Reason)
	if judged.Next != nil {
		result.Next = ref(time.UnixMilli(*judged.Next))
	}
	if result.State == store.StateDeferred && result.Next == nil {
		result.State = store.StateFailed
	}
	return result
}

func accepted(outcome core.Outcome) bool {
	return outcome.Step == courier.StepFinalDot && outcome.Failure == nil &&
		outcome.Reply != nil && outcome.Reply.Code/100 == 2
}

// fault is an attempt that failed in our own code: a body that can't be opened is lost, anything else is tried
// again a few times and then put aside (R12, R13).
func (o *Outbox) fault(ctx context.Context, lease *store.Lease, way *route, err error) *store.Result {
	result := &store.Result{State: store.StateFailed, Connection: way.name, Fault: true}
	switch coreCode(err) {
	case "corrupt", "wrong_key":
		result.Reason = ref("Its sealed body was damaged in the database.")
		return result
	}
	o.notices.warn(ctx, "A mail can't be opened: "+err.Error())
	faults, failed := o.store.Faults(ctx, lease.MailID)
	if failed == nil && faults+1 >= o.tuning.FaultsAllowed {
		result.Reason = ref(fmt.Sprintf("Put aside: Postroom itself failed at it %d times.", faults+1))
		return result
	}
	result.State = store.StateDeferred
	result.Next = ref(lease.Now.Add(o.tuning.FaultRetry))
	result.Reason = ref("Postroom itself failed at it; it is tried again.")
	return result
}

// finish writes the result, with the job that comes next where there is one. What is known about a mail must not be
// lost to a database that is away for a while: this tries until it is written or another has the mail.
func (w *sendWorker) finish(ctx context.Context, job *river.Job[sendArgs], lease *store.Lease, result *store.Result) error {
	o := w.o
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendMargin-time.Minute)
	defer cancel()
	for {
		mine, err := w.tryFinish(writing, job, lease, result)
		switch {
		case err == nil && !mine:
			o.log.Warn("A mail's outcome was not written: its lease had gone to another", "mail", lease.MailID, "state", result.State)
			return nil
		case err == nil:
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

func (w *sendWorker) tryFinish(ctx context.Context, job *river.Job[sendArgs], lease *store.Lease, result *store.Result) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if result.Next == nil {
		return w.o.store.Finish(ctx, lease, result) // River completes the job by itself, in batches
	}
	mine := false
	err := w.o.store.InTx(ctx, func(tx pgx.Tx) error {
		var err error
		if mine, err = store.Finish(ctx, tx, lease, result); err != nil || !mine {
			return err
		}
		if err := w.o.schedule(ctx, tx, lease.MailID, *result.Next); err != nil {
			return err
		}
		return complete(ctx, tx, job)
	})
	return mine, err
}
