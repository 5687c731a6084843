package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"postroom/server/internal/core"
	"postroom/server/internal/store"
)

// sendArgs names the mail that a job looks after.
type sendArgs struct {
	MailID string `json:"mail_id"`
}

// Kind is River's.
func (sendArgs) Kind() string { return store.JobSend }

// InsertOpts is River's. How often a mail is tried is the core's decision, counted in the mail's row.
func (sendArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: store.ClassAccount, MaxAttempts: 30000}
}

// sendWorker brings one mail to its next state.
type sendWorker struct {
	river.WorkerDefaults[sendArgs]
	o *Outbox
}

// Timeout is River's: longer than any conversation, so that River never takes a job from a sender at work.
func (w *sendWorker) Timeout(*river.Job[sendArgs]) time.Duration {
	return w.o.tuning.Queue.Total + sendMargin
}

// Work is River's. See requestWorker.Work for errors.
func (w *sendWorker) Work(ctx context.Context, job *river.Job[sendArgs]) error {
	again, err := w.work(ctx, job)
	if err != nil {
		return w.o.later(ctx, "A mail waits", err, job.JobRow)
	}
	if again > 0 {
		return river.JobSnooze(again)
	}
	return nil
}

// work sends the mail if it may be taken, and else does what the core says. It returns after how long this same job
// should come again, zero for not at all.
func (w *sendWorker) work(ctx context.Context, job *river.Job[sendArgs]) (time.Duration, error) {
	o, in, id := w.o, w.o.current.Load(), job.Args.MailID
	key, keyErr := o.key(ctx, in)
	course, wayErr := o.steer(ctx, in)
	if keyErr == nil && wayErr == nil && len(course.ways) == 0 {
		if waits, err := w.waitForConnection(ctx, job, key, course); err != nil || waits {
			return 0, err
		}
	}
	if keyErr == nil && wayErr == nil && len(course.ways) > 0 {
		by := course.ways[0]
		if by.connection != nil {
			entered, err := o.enter(ctx, by, job.Queue, id, key)
			if err != nil {
				return 0, err
			}
			if !entered {
				o.notices.warn(ctx, "Mails wait for their turn at the mail server: the limit of its connections, or of mails per minute, is reached")
				return 0, w.keepPlace(ctx, job)
			}
			defer by.leave(job.Queue)
		}
		lease, err := o.store.TakeLease(ctx, id, o.node, key, o.tuning.LeaseLife)
		if err != nil {
			return 0, err
		}
		if lease != nil {
			return 0, (&attempt{o: o, in: in, ways: course.ways, lease: lease, end: func(ctx context.Context, tx pgx.Tx) error {
				return complete(ctx, tx, job)
			}}).run(ctx)
		}
	}
	is, err := o.store.Standing(ctx, id)
	if err != nil || is == nil {
		return 0, err
	}
	args := &core.AttendArgs{Mail: &is.Standing, Connected: wayErr == nil}
	if keyErr == nil {
		args.KeyID = &key
	}
	todo, err := o.attend(ctx, is.Now, args)
	if err != nil {
		return 0, err
	}
	switch todo.Act {
	case core.ActLeave:
		return 0, nil
	case core.ActEnd:
		_, err := o.store.End(ctx, id, todo.State, todo.Reason)
		return 0, err
	case core.ActBlocked:
		return 0, errors.Join(keyErr, wayErr)
	case core.ActComposeAnew:
		return 0, w.composeAnew(ctx, job, is, args, todo.Reason)
	case core.ActLookAgain:
		if todo.KeyMissing {
			o.notices.warn(ctx, "Mails wait that were sealed under another AtRestEncryptKey: it has changed, or differs between nodes")
		}
		return 0, w.putOff(ctx, job, is, todo)
	}
	return 0, fmt.Errorf("the core says %q of a mail, which this service does not know", todo.Act)
}

// putOff ends this job and gives the mail one at that time, by PostgreSQL's clock. Only the mail's own job does: where
// there are two of them, each would else look again for ever.
func (w *sendWorker) putOff(ctx context.Context, job *river.Job[sendArgs], is *store.Standing, todo *core.AttendResult) error {
	at, id := time.UnixMilli(todo.At), job.Args.MailID
	return w.o.store.InTx(ctx, func(tx pgx.Tx) error {
		if todo.KeyMissing {
			if err := store.MissKey(ctx, tx, id, at); err != nil {
				return err
			}
		}
		if is.JobID == job.ID {
			if err := w.o.schedule(ctx, tx, id, job.Queue, at); err != nil {
				return err
			}
		}
		return complete(ctx, tx, job)
	})
}

// waitForConnection has a mail that could be sent wait for a connection, without an attempt; false says that it could not be
// sent anyhow.
func (w *sendWorker) waitForConnection(ctx context.Context, job *river.Job[sendArgs], key string, now *course) (bool, error) {
	may, err := w.o.store.MayBeTaken(ctx, job.Args.MailID, key)
	if err != nil || !may {
		return false, err
	}
	is, err := w.o.store.Standing(ctx, job.Args.MailID)
	if err != nil || is == nil {
		return false, err
	}
	w.o.notices.warn(ctx, "Mails wait, as no connection can be logged in to")
	until := w.o.clock.Now().Add(time.Minute)
	if now.WaitUntil != nil {
		until = time.UnixMilli(*now.WaitUntil)
	}
	return true, w.o.store.InTx(ctx, func(tx pgx.Tx) error {
		if err := store.WaitForConnection(ctx, tx, job.Args.MailID, until, now.Reason); err != nil {
			return err
		}
		if is.JobID == job.ID {
			if err := w.o.schedule(ctx, tx, job.Args.MailID, job.Queue, until); err != nil {
				return err
			}
		}
		return complete(ctx, tx, job)
	})
}

// keepPlace ends this job and gives the mail another in the same place of the queue: it has waited long enough for its
// turn at the upstream server to have held a worker.
func (w *sendWorker) keepPlace(ctx context.Context, job *river.Job[sendArgs]) error {
	return w.o.store.InTx(ctx, func(tx pgx.Tx) error {
		if err := w.o.schedule(ctx, tx, job.Args.MailID, job.Queue, time.Time{}); err != nil {
			return err
		}
		if err := store.BackdateJob(ctx, tx, job.Args.MailID, job.ScheduledAt); err != nil {
			return err
		}
		return complete(ctx, tx, job)
	})
}

// composeAnew makes another mail in place of one that can't be sent as it is. The request keeps its age.
func (w *sendWorker) composeAnew(ctx context.Context, job *river.Job[sendArgs], is *store.Standing, args *core.AttendArgs, why string) error {
	o := w.o
	made, err := o.mintAnew(ctx, is, is.QueuedAt, &store.Record{Superseded: why, DoneJob: job.ID})
	if err != nil || made.notComposed == nil {
		return err
	}
	args.NotComposed = made.notComposed
	todo, err := o.attend(ctx, made.at, args)
	if err == nil && todo.Act == core.ActEnd {
		_, err = o.store.End(ctx, job.Args.MailID, todo.State, todo.Reason)
	}
	return err
}

// minted is what mintAnew made: a mail, or nothing, for the reason that `prepare` has. at is PostgreSQL's clock then.
type minted struct {
	mailID      string
	notComposed *string
	at          time.Time
}

// mintAnew makes a new link and mail for the account of one that is not to be sent as it is, whatever the account's limits
// say, and writes them with the record. errMoved says that the account moved meanwhile, and nothing was written.
func (o *Outbox) mintAnew(ctx context.Context, is *store.Standing, requestedAt time.Time, record *store.Record) (minted, error) {
	in := o.current.Load()
	facts, err := o.store.FactsByID(ctx, is.Kind, is.AccountID)
	if err != nil {
		return minted{}, err
	}
	var redirect *string
	if facts.Previous != nil {
		redirect = facts.Previous.Redirect
	}
	decision, err := o.prepare(ctx, facts.Now, &core.PrepareArgs{
		Kind: is.Kind, RequestedAt: requestedAt.UnixMilli(), Account: facts.Account, Redirect: redirect, Site: in.Site, Key: in.AtRestKey,
	})
	if err != nil {
		return minted{}, err
	}
	if decision.Decision != decisionMail {
		why := decision.Reason
		if why == nil {
			why = ref("")
		}
		return minted{notComposed: why, at: facts.Now}, nil
	}
	record.Kind, record.AccountID = is.Kind, is.AccountID
	err = o.store.InTx(ctx, func(tx pgx.Tx) error {
		held, err := store.LockAccount(ctx, tx, is.Kind, is.AccountID)
		if err != nil {
			return err
		}
		if !sameFacts(&facts, &held) {
			return errMoved
		}
		return o.enqueue(ctx, tx, record, &facts, decision, requestedAt, redirect, nil)
	})
	return minted{mailID: decision.Mail.ID, at: facts.Now}, err
}
