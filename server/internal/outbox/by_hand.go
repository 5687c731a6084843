package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"postroom/server/internal/core"
	"postroom/server/internal/store"
)

// ByHand is what became of an admin's wish. Refused is set where it was not done, and NewMailID where another mail
// was made in this one's place.
type ByHand struct {
	Kind      string
	NewMailID string
	Refused   *core.AppError
}

// byHandTries is how often a wish is tried again when the mail or its account moves meanwhile.
const byHandTries = 5

// Cancel takes a mail that waits out of the queue, with its link.
func (o *Outbox) Cancel(ctx context.Context, mailID string) (ByHand, error) {
	return o.byHand(ctx, core.WishCancel, mailID)
}

// Resend sends a mail again: an account's with a new link, as another mail, any other as it is.
func (o *Outbox) Resend(ctx context.Context, mailID string) (ByHand, error) {
	return o.byHand(ctx, core.WishResend, mailID)
}

func (o *Outbox) byHand(ctx context.Context, wish, mailID string) (ByHand, error) {
	var done ByHand
	for range byHandTries {
		is, err := o.store.Standing(ctx, mailID)
		if err != nil {
			return done, err
		}
		args, now := &core.ByHandArgs{Wish: wish, Class: store.ClassAccount}, time.Now()
		if is != nil {
			args.Mail, args.Class, now, done.Kind = &is.Standing, is.Class, is.Now, is.Kind
		}
		todo, err := o.wished(ctx, now, args)
		if err != nil {
			return done, err
		}
		moved := false
		switch todo.Act {
		case core.ActRefuse:
			done.Refused = todo.AppError
		case core.ActCancel:
			var ended bool
			ended, err = o.store.CancelByHand(ctx, mailID, todo.Reason)
			moved = err == nil && !ended
		case core.ActSend:
			moved, err = o.requeue(ctx, mailID, time.UnixMilli(todo.ExpiresAt))
		case core.ActComposeAnew:
			moved, err = o.anotherMail(ctx, is, args, &done)
		default:
			err = fmt.Errorf("the core says %q of an admin's wish, which this service does not know", todo.Act)
		}
		if err != nil || !moved {
			return done, err
		}
	}
	return done, errMoved
}

func (o *Outbox) wished(ctx context.Context, now time.Time, args *core.ByHandArgs) (*core.ByHandResult, error) {
	var out core.ByHandResult
	err := o.engine.Call(ctx, core.OpByHand, now, args, &out)
	return &out, err
}

func (o *Outbox) requeue(ctx context.Context, mailID string, expiresAt time.Time) (moved bool, err error) {
	err = o.store.InTx(ctx, func(tx pgx.Tx) error {
		class, err := store.Requeue(ctx, tx, mailID, expiresAt)
		if moved = class == ""; err != nil || moved {
			return err
		}
		return o.schedule(ctx, tx, mailID, class, time.Time{})
	})
	return moved, err
}

// anotherMail makes a new link and mail for the account, whatever its limits say: an admin asks.
func (o *Outbox) anotherMail(ctx context.Context, is *store.Standing, args *core.ByHandArgs, done *ByHand) (moved bool, err error) {
	in := o.current.Load()
	facts, err := o.store.FactsByID(ctx, is.Kind, is.AccountID)
	if err != nil {
		return false, err
	}
	var redirect *string
	if facts.Previous != nil {
		redirect = facts.Previous.Redirect
	}
	decision, err := o.prepare(ctx, facts.Now, &core.PrepareArgs{
		Kind: is.Kind, RequestedAt: facts.Now.UnixMilli(), Account: facts.Account, Redirect: redirect, Site: in.Site, Key: in.AtRestKey,
	})
	if err != nil {
		return false, err
	}
	if decision.Decision != decisionMail {
		args.NotComposed = ref("")
		if decision.Reason != nil {
			args.NotComposed = decision.Reason
		}
		todo, err := o.wished(ctx, facts.Now, args)
		done.Refused = todo.AppError
		return false, err
	}
	err = o.store.InTx(ctx, func(tx pgx.Tx) error {
		held, err := store.LockAccount(ctx, tx, is.Kind, is.AccountID)
		if err != nil {
			return err
		}
		if moved = !sameFacts(&facts, &held); moved {
			return nil
		}
		record := &store.Record{Kind: is.Kind, AccountID: is.AccountID, Superseded: o.reasons(ctx).Superseded}
		return o.enqueue(ctx, tx, record, &facts, decision, facts.Now, redirect, nil)
	})
	if err == nil && !moved {
		done.NewMailID = decision.Mail.ID
	}
	return moved, err
}
