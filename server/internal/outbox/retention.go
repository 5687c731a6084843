package outbox

import (
	"context"
	"time"

	"postroom/server/internal/store"
)

const (
	day = 24 * time.Hour
	// keepBodies bounds how long a captured or failed mail can be viewed or sent again.
	keepBodies = 7 * day
	// sweepAtOnce is how many accounts one query looks at.
	sweepAtOnce = 500
)

// prune removes what nobody needs any more.
func (o *Outbox) prune() error {
	mails := time.Duration(o.current.Load().RetentionDays) * day
	if mails <= 0 {
		return nil // settings that say nothing erase nothing
	}
	return o.store.Prune(o.life, store.Retention{
		Mails: mails, Bodies: min(mails, keepBodies), Words: o.reasons(o.life).HeldTooLong,
	})
}

// sweep erases what is kept about accounts that Mattermost has no more, and ends the links of those that were
// deactivated without our hearing of it.
func (o *Outbox) sweep() error {
	if err := o.store.DropStaleRequests(o.life); err != nil {
		return err
	}
	for after := ""; ; {
		accounts, err := o.store.KnownAccounts(o.life, after, sweepAtOnce)
		if err != nil {
			return err
		}
		for _, account := range accounts {
			after = account.ID
			switch {
			case account.Gone:
				mails, err := o.store.Erase(o.life, account.ID)
				if err != nil {
					return err
				}
				o.log.Info("What was kept about a deleted account is erased", "mails", mails)
			case account.Deactivated:
				if err := o.Deactivate(o.life, account.ID); err != nil {
					return err
				}
			}
		}
		if len(accounts) < sweepAtOnce {
			return nil
		}
	}
}

// Deactivate ends an account's links, and cancels those of its mails that bring one and wait.
func (o *Outbox) Deactivate(ctx context.Context, accountID string) error {
	return o.store.Deactivate(ctx, accountID, o.reasons(ctx).Deactivated)
}
