package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"

	"postroom/server/internal/store"
)

// Relayed is a mail that Mattermost handed to the relay, as the core has taken it: a row for each recipient, all of one
// class. Link is set for one that is an account's.
type Relayed struct {
	Mails []store.NewMail
	Link  *RelayedLink
}

// RelayedLink is what goes with an account's mail: Token takes the place of MattermostToken, as Facts stand. Without
// a Token the mail is one that is not sent, and Mattermost's goes all the same.
type RelayedLink struct {
	MattermostToken string
	Kind            string
	Facts           *store.Facts
	Token           *store.NewToken
	Limit           *int64 // ms; nil where it does not move
	Audit           store.AuditRecord
}

// relaying is a Relayed and whoever waits for its commit.
type relaying struct {
	ctx    context.Context
	mail   *Relayed
	octets int
	done   chan error
}

// ErrMoved is Commit's answer when what the core decided by has changed: it is to be asked again.
var ErrMoved = errMoved

// Bounds of one commit; and what is sent at once by this node, rather than by whoever has room for it.
const (
	relayBatchMails  = 200
	relayBatchOctets = 16 << 20
	sendAtOnce       = 1 << 20
)

// Ready waits for the database where it was out of reach lately, as long as ctx allows.
func (o *Outbox) Ready(ctx context.Context) error {
	for o.relayTrouble.Load() {
		asking, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := o.store.Ping(asking)
		cancel()
		if err == nil {
			o.relayTrouble.Store(false)
			break
		}
		select {
		case <-ctx.Done():
			return ErrUnavailable
		case <-time.After(200 * time.Millisecond):
		}
	}
	return ctx.Err()
}

// Commit returns nil once the mail, its token and what will send it are committed; called again with the same mail
// after an error, it commits it once. Mails without a token share a commit with others that wait at the same time.
func (o *Outbox) Commit(ctx context.Context, mail *Relayed) error {
	err := o.commitOne(ctx, mail)
	o.relayTrouble.Store(err != nil && !errors.Is(err, ErrMoved) && !refusedValue(err))
	return err
}

func (o *Outbox) commitOne(ctx context.Context, mail *Relayed) error {
	if mail.Link != nil {
		return o.commitAccount(ctx, mail)
	}
	waiting := &relaying{ctx: ctx, mail: mail, done: make(chan error, 1)}
	for i := range mail.Mails {
		waiting.octets += len(mail.Mails[i].Sealed)
	}
	select {
	case o.relays <- waiting:
	case <-ctx.Done():
		return ErrUnavailable
	case <-o.life.Done():
		return ErrUnavailable
	}
	// No look at ctx: the committer has a deadline of its own, and what it says is how it is.
	select {
	case err := <-waiting.done:
		return err
	case <-o.life.Done():
		select {
		case err := <-waiting.done:
			return err
		case <-time.After(batchTimeout):
			return ErrUnavailable
		}
	}
}

// relayLoop commits the mails that wait.
func (o *Outbox) relayLoop() {
	together(o.life, o.relays, func(batch []*relaying) bool {
		octets := 0
		for _, mail := range batch {
			octets += mail.octets
		}
		return len(batch) >= relayBatchMails || octets >= relayBatchOctets
	}, o.commitRelayed)
}

func (o *Outbox) commitRelayed(batch []*relaying) {
	var mails []*Relayed
	var callers []*relaying
	for _, caller := range batch {
		if caller.ctx.Err() != nil {
			caller.done <- ErrUnavailable
			continue
		}
		mails, callers = append(mails, caller.mail), append(callers, caller)
	}
	if len(mails) == 0 {
		return
	}
	err := o.commitTogether(mails)
	if err == nil || !refusedValue(err) {
		for _, caller := range callers {
			caller.done <- err
		}
		return
	}
	// One of them is refused for what it is (or is there already): each by itself, so that it stops no other.
	for _, caller := range callers {
		err := o.commitTogether([]*Relayed{caller.mail})
		if alreadyThere(err) {
			err = nil
		}
		caller.done <- err
	}
}

func (o *Outbox) commitTogether(batch []*Relayed) error {
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	in := o.current.Load()
	var mails []store.NewMail
	for _, mail := range batch {
		mails = append(mails, mail.Mails...)
	}
	senders := make([]*sender, len(mails))
	for i := range mails {
		senders[i] = o.senderFor(ctx, in, &mails[i])
	}
	var now time.Time
	err := o.store.InTx(ctx, func(tx pgx.Tx) error {
		err := o.giveJobs(ctx, tx, mails)
		if err == nil {
			now, err = store.InsertMails(ctx, tx, mails)
		}
		return err
	})
	for i, sender := range senders {
		sender.settle(&mails[i], now, now, err)
	}
	return err
}

// giveJobs gives each mail that no sender has a job.
func (o *Outbox) giveJobs(ctx context.Context, tx pgx.Tx, mails []store.NewMail) error {
	var jobs []river.InsertManyParams
	var whose []int
	for i := range mails {
		if mails[i].Lease == nil && mails[i].Cancelled == "" {
			jobs = append(jobs, river.InsertManyParams{Args: sendArgs{MailID: mails[i].ID}, InsertOpts: &river.InsertOpts{Queue: mails[i].Class}})
			whose = append(whose, i)
		}
	}
	if len(jobs) == 0 {
		return nil
	}
	inserted, err := o.client.InsertManyTx(ctx, tx, jobs)
	if err != nil {
		return fmt.Errorf("queue the mails' jobs: %w", err)
	}
	for i, job := range inserted {
		mails[whose[i]].JobID = job.Job.ID
	}
	return nil
}

// senderFor gives the mail a lease from its birth, if one of this node's senders is free for it.
func (o *Outbox) senderFor(ctx context.Context, in *current, mail *store.NewMail) *sender {
	mail.Lease, mail.JobID = nil, 0
	if key, err := o.key(ctx, in); err != nil || key != mail.KeyID || len(mail.Sealed) > sendAtOnce || mail.Cancelled != "" {
		return nil
	}
	sender := o.freeSender(ctx, in, mail.Class)
	if sender != nil {
		mail.Lease = &store.NewLease{Owner: o.node, Life: o.tuning.LeaseLife}
	}
	return sender
}

// commitAccount takes Mattermost's token out of its table and writes ours with the mail, in one transaction.
func (o *Outbox) commitAccount(ctx context.Context, mail *Relayed) error {
	link := mail.Link
	if len(mail.Mails) != 1 || link.Facts.Account == nil {
		return errors.New("an account mail has one recipient, and its token an owner")
	}
	audit, err := json.Marshal(link.Audit)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	one := mail.Mails[0]
	sender := o.senderFor(ctx, o.current.Load(), &one)
	record := &store.Record{Kind: link.Kind, AccountID: link.Facts.Account.ID, Token: link.Token, Mail: &one, Limit: link.Limit, Audit: audit,
		Superseded: o.reasons(ctx).Superseded}
	there := false
	var now time.Time
	err = o.store.InTx(ctx, func(tx pgx.Tx) error {
		facts, err := store.LockAccount(ctx, tx, record.Kind, record.AccountID)
		if err != nil {
			return err
		}
		now = facts.Now
		if there, err = store.HasMail(ctx, tx, one.ID); err != nil || there {
			return err // committed before, when we did not hear of it
		}
		if !sameFacts(link.Facts, &facts) {
			return ErrMoved
		}
		switch taken, err := store.TakeMattermostToken(ctx, tx, link.MattermostToken); {
		case err != nil:
			return err
		case !taken:
			return ErrMoved
		}
		jobs := []store.NewMail{one}
		if err := o.giveJobs(ctx, tx, jobs); err != nil {
			return err
		}
		one = jobs[0]
		return store.Write(ctx, tx, record)
	})
	if sender != nil && there {
		sender.release() // whoever committed it sends it
		return err
	}
	sender.settle(&one, now, now, err)
	return err
}

// refusedValue is whether PostgreSQL has refused what a row holds: no use in trying again.
func refusedValue(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && len(refused.Code) == 5 && (refused.Code[:2] == "22" || refused.Code[:2] == "23")
}

// alreadyThere is whether it refused a mail that is stored already, by a commit of which we did not hear.
func alreadyThere(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == "23505" && refused.ConstraintName == "mails_pkey"
}

// RefusedValue is whether the database refused a mail for what is in its row, not for the moment.
func RefusedValue(err error) bool { return refusedValue(err) }
