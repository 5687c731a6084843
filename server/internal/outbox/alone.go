package outbox

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postroom/server/internal/store"
)

// KindOrphaned is the mail to the admins when this service runs without its plugin.
const KindOrphaned = "orphaned"

// TellAlone queues the mails that tell the admins that this node's plugin has been gone since then, unless another
// node has told them of the same: told is whether these were queued. The mails and the note that they were told are
// one transaction.
func (o *Outbox) TellAlone(ctx context.Context, since time.Time, mails []store.NewMail) (told bool, err error) {
	err = o.store.InTx(ctx, func(tx pgx.Tx) error {
		if told, err = store.BeginAlone(ctx, tx, o.node, since); err != nil || !told || len(mails) == 0 {
			return err
		}
		if err := o.giveJobs(ctx, tx, mails); err != nil {
			return err
		}
		_, err := store.InsertMails(ctx, tx, mails)
		return err
	})
	return told && err == nil, err
}
