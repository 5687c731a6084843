package outbox

import (
	"context"
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

// work returns after how long this same job should come again, zero for not at all.
func (w *sendWorker) work(ctx context.Context, job *river.Job[sendArgs]) (time.Duration, error) {
	o, in, id := w.o, w.o.current.Load(), job.Args.MailID
	key, keyErr := o.key(ctx, in)
	way, wayErr := o.route(ctx, in)
	if keyErr == nil && wayErr == nil {
		lease, err := o.store.TakeLease(ctx, id, o.node, key, o.tuning.LeaseLife)
		if err != nil {
			return 0, err
		}
		if lease != nil {
			return 0, (&attempt{o: o, in: in, way: way, lease: lease, end: func(ctx context.Context, tx pgx.Tx) error {
				return complete(ctx, tx, job)
			}}).run(ctx)
		}
	}
	is, err := o.store.Standing(ctx, id)
	if err != nil {
		return 0, err
	}
	switch {
	case is == nil, !is.Outstanding, is.Held, is.Leased:
		return 0, nil // nothing to do, or someone else's
	case is.TokenDead && !is.Expired:
		_, err := o.store.End(ctx, id, store.StateCancelled, "Its link was replaced or used before the mail could leave.")
		return 0, err
	case is.Expired && keyErr == nil && is.KeyID == key && is.TokenDigest != nil:
		_, err := o.store.End(ctx, id, store.StateCancelled, "Its link expired before the mail could leave.")
		return 0, err
	case is.Expired && keyErr == nil && is.KeyID == key:
		_, err := o.store.End(ctx, id, store.StateFailed, "Its lifetime ended before it could be sent.")
		return 0, err
	case is.Expired:
		_, err := o.store.End(ctx, id, store.StateFailed, "It was sealed under another AtRestEncryptKey, and no node could open it before it expired.")
		return 0, err
	case keyErr != nil:
		return 0, keyErr
	case wayErr != nil:
		return 0, wayErr
	case !is.Due:
		return 0, w.reschedule(ctx, job, is.DueAt)
	case is.ComposeAnew:
		return 0, w.composeAnew(ctx, job, in, is, "The SiteURL changed; composed anew under the new one.")
	case is.KeyID != key:
		o.notices.warn(ctx, "Mails wait that were sealed under another AtRestEncryptKey: it has changed, or differs between nodes")
		if is.KeyMissing >= o.tuning.KeyPatience && ours(is) {
			return 0, w.composeAnew(ctx, job, in, is, "AtRestEncryptKey changed; composed anew under the new one.")
		}
		if err := o.store.MissKey(ctx, id); err != nil {
			return 0, err
		}
		return 0, w.reschedule(ctx, job, is.Now.Add(o.tuning.KeyRetry))
	}
	return time.Second, nil // it moved while this looked
}

// ours is whether the core composed the mail from an account alone, and can do so again.
func ours(is *store.Standing) bool {
	return is.TokenDigest != nil && (is.Kind == kindReset || is.Kind == kindVerify)
}

// reschedule ends this job and gives the mail one at that time, by PostgreSQL's clock.
func (w *sendWorker) reschedule(ctx context.Context, job *river.Job[sendArgs], at time.Time) error {
	return w.o.store.InTx(ctx, func(tx pgx.Tx) error {
		if err := w.o.schedule(ctx, tx, job.Args.MailID, job.Queue, at); err != nil {
			return err
		}
		return complete(ctx, tx, job)
	})
}

// composeAnew mints a new token and mail for the account in place of one that can't be sent as it is, without
// counting against the account's limit. The request keeps its age.
func (w *sendWorker) composeAnew(ctx context.Context, job *river.Job[sendArgs], in *current, is *store.Standing, why string) error {
	o, id := w.o, job.Args.MailID
	if !ours(is) {
		_, err := o.store.End(ctx, id, store.StateCancelled, "Its link is of the former SiteURL, and only whoever asked for it can ask again.")
		return err
	}
	facts, err := o.store.FactsByID(ctx, is.Kind, is.AccountID)
	if err != nil {
		return err
	}
	var redirect *string
	if facts.Previous != nil {
		redirect = facts.Previous.Redirect
	}
	decision, err := o.prepare(ctx, facts.Now, &core.PrepareArgs{
		Kind: is.Kind, RequestedAt: is.QueuedAt.UnixMilli(), Account: facts.Account, Redirect: redirect,
		Site: in.Site, Key: in.AtRestKey,
	})
	if err != nil {
		return err
	}
	if decision.Decision != decisionMail {
		reason := "no reason given"
		if decision.Reason != nil {
			reason = *decision.Reason
		}
		_, err := o.store.End(ctx, id, store.StateCancelled, fmt.Sprintf("It could not be composed anew: %s.", reason))
		return err
	}
	return o.store.InTx(ctx, func(tx pgx.Tx) error {
		held, err := store.LockAccount(ctx, tx, is.Kind, is.AccountID)
		if err != nil {
			return err
		}
		if !sameFacts(&facts, &held) {
			return errMoved
		}
		record := &store.Record{Purpose: is.Kind, AccountID: is.AccountID, Superseded: why}
		record.DoneJob = job.ID
		return o.enqueue(ctx, tx, record, &facts, decision, is.QueuedAt, redirect, nil)
	})
}
