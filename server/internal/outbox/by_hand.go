package outbox

import (
	"context"
	"errors"
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

// anotherMail makes a new link and mail for the account: an admin asks, so its limits don't count.
func (o *Outbox) anotherMail(ctx context.Context, is *store.Standing, args *core.ByHandArgs, done *ByHand) (moved bool, err error) {
	made, err := o.mintAnew(ctx, is, is.Now, &store.Record{Superseded: o.reasons(ctx).Superseded})
	switch {
	case errors.Is(err, errMoved):
		return true, nil
	case err != nil:
		return false, err
	case made.notComposed != nil:
		args.NotComposed = made.notComposed
		todo, err := o.wished(ctx, made.at, args)
		done.Refused = todo.AppError
		return false, err
	}
	done.NewMailID = made.mailID
	return false, nil
}
