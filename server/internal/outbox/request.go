package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"postroom/server/internal/core"
	"postroom/server/internal/engine"
	"postroom/server/internal/store"
)

// requestWorker does for a request what nobody can time: it finds the account, asks the core, and writes what the
// core decided.
type requestWorker struct {
	river.WorkerDefaults[requestArgs]
	o *Outbox
}

// Timeout is River's.
func (*requestWorker) Timeout(*river.Job[requestArgs]) time.Duration { return requestTimeout }

// Work is River's. Nothing is returned as an error: River would log it each time and keep it in the job's row.
func (w *requestWorker) Work(ctx context.Context, job *river.Job[requestArgs]) error {
	w.o.flood.standBack(ctx)
	err := w.work(ctx, job)
	if err == nil {
		return nil
	}
	return w.o.later(ctx, "A request waits", err, job.JobRow)
}

// later logs a cause once and lets the job come again, the later the older it is.
func (o *Outbox) later(ctx context.Context, what string, err error, job *rivertype.JobRow) error {
	switch {
	case ctx.Err() != nil, errors.Is(err, errMoved):
	case coreCode(err) != "", errors.As(err, new(*routeError)): // says what to mend, in the same words each time
		o.notices.warn(ctx, what+": "+err.Error())
	case errors.Is(err, engine.ErrTrapped), errors.Is(err, engine.ErrDeadline), errors.Is(err, engine.ErrEntropy):
		o.notices.warn(ctx, what+": the core fails at it")
	default:
		o.notices.warn(ctx, what+": the database is out of reach or refuses it")
	}
	o.log.DebugContext(ctx, what, "job", job.ID, "error", err.Error())
	return river.JobSnooze(min(max(o.clock.Now().Sub(job.CreatedAt)/4, time.Second), time.Minute))
}

var errMoved = errors.New("the account changed meanwhile")

func (w *requestWorker) work(ctx context.Context, job *river.Job[requestArgs]) error {
	in := w.o.current.Load()
	facts, err := w.o.store.FactsByEmail(ctx, job.Args.Purpose, job.Args.Email)
	if err != nil {
		return err
	}
	for range 5 {
		// Both by PostgreSQL's clock: that of the node that was asked may be off.
		if facts.Now.Sub(job.CreatedAt) > lifetime(in, job.Args.Purpose) {
			return w.write(ctx, job, in, &facts, &core.PrepareResult{Decision: "skip", Reason: ref("expired")})
		}
		decision, err := w.o.prepare(ctx, facts.Now, &core.PrepareArgs{
			Kind: job.Args.Purpose, RequestedAt: job.CreatedAt.UnixMilli(), Account: facts.Account,
			Redirect: job.Args.Redirect, Previous: previous(facts.Previous),
			Limit: core.AccountLimit{PerHour: int64(in.LimitAccountPerHour), TATMS: facts.LimitTAT},
			Site:  in.Site, Key: in.AtRestKey,
		})
		if err != nil {
			return err
		}
		if err = w.write(ctx, job, in, &facts, decision); !errors.Is(err, errMoved) {
			return err
		}
		if facts, err = w.o.store.FactsByEmail(ctx, job.Args.Purpose, job.Args.Email); err != nil {
			return err
		}
	}
	return errMoved
}

func lifetime(in *current, purpose string) time.Duration {
	ms := in.Site.ResetLifetimeMS
	if purpose == "verify" {
		ms = in.Site.VerifyLifetimeMS
	}
	return time.Duration(ms) * time.Millisecond
}

func previous(token *store.Previous) *core.Previous {
	if token == nil {
		return nil
	}
	return &core.Previous{RequestedAt: token.RequestedAt.UnixMilli()}
}

// write commits a decision and the job's completion in one transaction. A new mail is sent at once by this node where
// a sender is free: it is born with a lease, and comes into River's hands only if it has to be tried again.
func (w *requestWorker) write(ctx context.Context, job *river.Job[requestArgs], in *current, facts *store.Facts, decision *core.PrepareResult) error {
	o := w.o
	audit, err := json.Marshal(auditOf(job, facts, decision))
	if err != nil {
		return err
	}
	record := &store.Record{Kind: job.Args.Purpose, Limit: decision.LimitTATMS, Audit: audit, DoneJob: job.ID,
		Superseded: o.reasons(ctx).Superseded}
	var sender *sender
	if decision.Decision == decisionMail {
		sender = o.freeSender(ctx, in, store.ClassAccount)
	}
	err = o.store.InTx(ctx, func(tx pgx.Tx) error {
		if facts.Account != nil {
			record.AccountID = facts.Account.ID
			held, err := store.LockAccount(ctx, tx, job.Args.Purpose, record.AccountID)
			if err != nil {
				return err
			}
			if !sameFacts(facts, &held) {
				return errMoved
			}
		}
		if decision.Decision == decisionMail {
			return o.enqueue(ctx, tx, record, facts, decision, job.CreatedAt, job.Args.Redirect, sender)
		}
		return store.Write(ctx, tx, record)
	})
	sender.settle(record.Mail, job.CreatedAt, facts.Now, err)
	return err
}

// enqueue writes the record with the decision's token and mail, the mail leased to the sender or, without one, with a
// job in River's hands.
func (o *Outbox) enqueue(ctx context.Context, tx pgx.Tx, record *store.Record, facts *store.Facts, decision *core.PrepareResult,
	requestedAt time.Time, redirect *string, by *sender) error {
	token, mail := decision.Token, decision.Mail
	record.Token = &store.NewToken{
		Digest: token.Digest, Purpose: record.Kind, AccountID: record.AccountID, Address: token.Address,
		PasswordStamp: facts.Account.PasswordStamp, Redirect: redirect, RequestedAt: requestedAt,
		ExpiresAt: time.UnixMilli(token.ExpiresAt),
	}
	record.Mail = &store.NewMail{
		ID: mail.ID, Kind: record.Kind, Class: store.ClassAccount, AccountID: record.AccountID, TokenDigest: token.Digest,
		MaskedTo: mail.MaskedTo, Locale: mail.Locale, MessageID: mail.MessageID, Size: mail.Size,
		ExpiresAt: time.UnixMilli(mail.ExpiresAt), Sealed: mail.Sealed, KeyID: mail.KeyID, Clear: mail.Clear.For(mail.To),
	}
	if by != nil {
		record.Mail.Lease = &store.NewLease{Owner: o.node, Life: o.tuning.LeaseLife}
	} else {
		inserted, err := o.client.InsertTx(ctx, tx, sendArgs{MailID: mail.ID}, nil)
		if err != nil {
			return fmt.Errorf("queue the mail's job: %w", err)
		}
		record.Mail.JobID = inserted.Job.ID
	}
	return store.Write(ctx, tx, record)
}

// sameFacts is whether a decision made from one still holds under the other.
func sameFacts(then, now *store.Facts) bool {
	if now.Account == nil || *then.Account != *now.Account {
		return false
	}
	if (then.Previous == nil) != (now.Previous == nil) || (then.LimitTAT == nil) != (now.LimitTAT == nil) {
		return false
	}
	return (then.Previous == nil || slices.Equal(then.Previous.Digest, now.Previous.Digest)) &&
		(then.LimitTAT == nil || *then.LimitTAT == *now.LimitTAT)
}

// complete ends the job with the transaction. A job that River gave to another meanwhile is that one's to end.
func complete[T river.JobArgs](ctx context.Context, tx pgx.Tx, job *river.Job[T]) error {
	_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
	if errors.Is(err, rivertype.ErrNotFound) {
		return nil
	}
	return err
}

// Mattermost's own names for these events (model.AuditEventSendPasswordReset, AuditEventSendVerificationEmail).
var auditEvents = map[string]string{"reset": "sendPasswordReset", "verify": "sendVerificationEmail"}

func auditOf(job *river.Job[requestArgs], facts *store.Facts, decision *core.PrepareResult) *store.AuditRecord {
	record := &store.AuditRecord{
		Event: auditEvents[job.Args.Purpose], Status: "fail", UserID: job.Args.UserID,
		ClientAddress: job.Args.ClientAddress, UserAgent: job.Args.UserAgent, RequestID: job.Args.RequestID,
		At: job.CreatedAt.UnixMilli(),
		Facts: map[string]string{
			"plugin": "postroom", "decision": decision.Decision, "address": masked(job.Args.Email),
		},
	}
	if facts.Account != nil {
		record.Facts["account_id"] = facts.Account.ID
	}
	if decision.Reason != nil {
		record.Facts["reason"] = *decision.Reason
	}
	if decision.Decision == decisionMail {
		record.Status = "success"
		record.Facts["mail_id"] = decision.Mail.ID
	}
	return record
}

// masked leaves an address's first character and its domain.
func masked(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at <= 0 {
		return "***"
	}
	first := []rune(address[:at])[0]
	return string(first) + "***" + clip(address[at:], 128)
}

func ref[T any](value T) *T { return &value }
