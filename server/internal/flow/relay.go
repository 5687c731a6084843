package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/engine"
	"postroom/server/internal/metrics"
	"postroom/server/internal/outbox"
	"postroom/server/internal/store"
)

// retryTaking is how long a mail waits between two tries at a database that is out of reach.
const retryTaking = 250 * time.Millisecond

// Ready is relay.Taker's: it waits for the database where it was away, as long as ctx allows.
func (f *Flows) Ready(ctx context.Context) error { return f.Outbox.Ready(ctx) }

// Take is relay.Taker's: a mail that Mattermost handed over is read, what it needs is looked up, the core says what it
// is and what goes in its place, and that is committed. It tries as long as ctx allows, as Mattermost does not try
// again. Nothing in a mail makes it fail: what the core can't read or trips over is passed on as it came.
func (f *Flows) Take(ctx context.Context, from string, to []string, message []byte) error {
	in := f.current.Load()
	mail := &incoming{from: from, to: to, message: message}
	var taken *outbox.Relayed
	var err error
	for {
		if taken == nil {
			taken, err = f.takeIn(ctx, in, mail)
		}
		if taken != nil {
			err = f.Outbox.Commit(ctx, taken)
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(err, outbox.ErrMoved):
			taken = nil // its token or its account has changed: what it is must be asked again
			continue
		case outbox.RefusedValue(err) && mail.passed == "":
			taken, mail.passed = nil, "row_refused"
			continue
		}
		f.Log.Debug("a mail of Mattermost's waits to be stored", "error", err.Error())
		select {
		case <-ctx.Done():
			return err
		case <-time.After(retryTaking):
		}
	}
}

// incoming is a mail on its way in. passed is why it is passed on as it came, "" while it is not.
type incoming struct {
	from    string
	to      []string
	message []byte
	passed  string
	trouble string // for the log: which error of the core's, and where; nothing of the mail
}

func (f *Flows) takeIn(ctx context.Context, in *current, mail *incoming) (*outbox.Relayed, error) {
	if mail.passed == "" {
		taken, err := f.understood(ctx, in, mail)
		if err == nil || !coresFault(err) {
			return taken, err
		}
		// The engine has logged what went wrong inside, and a mail must not be lost for it (R12).
		mail.passed, mail.trouble = "not_read", trouble(err)
	}
	return f.passedOn(ctx, in, mail)
}

// coresFault is whether the core failed over this mail, rather than the database or the caller.
func coresFault(err error) bool {
	var refused *engine.CoreError
	return errors.As(err, &refused) || errors.Is(err, engine.ErrTrapped) || errors.Is(err, engine.ErrDeadline)
}

// trouble names an error of the core's by its code and field; its detail may quote the mail.
func trouble(err error) string {
	var refused *engine.CoreError
	if errors.As(err, &refused) {
		return strings.TrimSpace(refused.Code + " " + refused.Field)
	}
	return "the core failed"
}

func (f *Flows) understood(ctx context.Context, in *current, mail *incoming) (*outbox.Relayed, error) {
	recipient := ""
	if len(mail.to) == 1 {
		recipient = strings.ToLower(mail.to[0]) // as Mattermost stores addresses
	}
	facts, err := f.Store.MailFacts(ctx, recipient, "")
	if err != nil {
		return nil, err
	}
	reply, err := f.take(ctx, in, mail, &facts, nil)
	if err != nil {
		return nil, err
	}
	token := ""
	if reply.LookUp != nil {
		token = *reply.LookUp
		if facts, err = f.Store.MailFacts(ctx, recipient, token); err != nil {
			return nil, err
		}
		if reply, err = f.take(ctx, in, mail, &facts, &token); err != nil {
			return nil, err
		}
	}
	if reply.Taken == nil {
		return nil, errors.New("the core asks again for what it was told")
	}
	f.remark(reply.Taken)
	return relayed(reply.Taken, &facts, token)
}

// take asks the core with what is known; token is what was looked up, nil for nothing yet.
func (f *Flows) take(ctx context.Context, in *current, mail *incoming, facts *store.MailFacts, token *string) (core.TakeMailResult, error) {
	var reply core.TakeMailResult
	err := f.Engine.Call(ctx, core.OpTakeMail, facts.Now, core.TakeMailArgs{
		Message: mail.message, EnvelopeFrom: mail.from, EnvelopeTo: mail.to, Site: in.Site, Key: in.AtRestKey,
		Facts: core.MailFacts{
			Account: facts.Account, Token: token, TokenRow: facts.TokenRow, Owner: facts.Owner(),
			Subjects: f.Subjects.For(localeOf(facts), in.Site.DefaultLocale),
			Previous: previousLink(facts), Limit: limitOf(in, facts),
		},
	}, &reply)
	return reply, err
}

// localeOf is the language that a mail's subject is in: its recipient's, or, where that is a pending new address,
// the owner's; "" for nobody's.
func localeOf(facts *store.MailFacts) string {
	switch {
	case facts.Account != nil:
		return facts.Account.Locale
	case facts.Owner() != nil:
		return facts.Owner().Locale
	}
	return ""
}

func previousLink(facts *store.MailFacts) *core.PreviousLink {
	if facts.Link == nil || facts.Link.Previous == nil {
		return nil
	}
	return &core.PreviousLink{RequestedAt: facts.Link.Previous.RequestedAt.UnixMilli(), Address: facts.Link.Previous.Address}
}

func limitOf(in *current, facts *store.MailFacts) *core.AccountLimit {
	if facts.Link == nil {
		return nil
	}
	return &core.AccountLimit{PerHour: int64(in.LimitAccountPerHour), TATMS: facts.Link.LimitTAT}
}

// remark logs what an admin should know of: the core's notes are codes, and hold nothing of the mail.
func (f *Flows) remark(taken *core.Taken) {
	for _, note := range taken.Notes {
		if note == "unreadable" || strings.HasPrefix(note, "not_") {
			f.Log.Warn("a mail of Mattermost's is passed on though something about it is not as expected", "mail", taken.Mail.ID, "kind", taken.Kind, "note", note)
		}
	}
}

func relayed(taken *core.Taken, facts *store.MailFacts, token string) (*outbox.Relayed, error) {
	if len(taken.Recipients) == 0 {
		return nil, errors.New("the core gives a mail without recipients")
	}
	out := &outbox.Relayed{}
	template := store.NewMail{
		Kind: taken.Kind, Class: taken.Class, Locale: taken.Mail.Locale, MessageID: taken.Mail.MessageID, Size: taken.Mail.Size,
		KeyID: taken.Mail.KeyID, ExpiresAt: time.UnixMilli(taken.Mail.ExpiresAt), Note: strings.Join(taken.Notes, " "),
	}
	if facts.Account != nil {
		template.AccountID = facts.Account.ID
	}
	if taken.TakeToken {
		if facts.Link == nil || len(taken.Recipients) != 1 || (taken.Token == nil) == (taken.HeldBack == nil) {
			return nil, errors.New("the core takes a token and does not say whose, or what becomes of it")
		}
		template.AccountID = facts.Link.Account.ID
		out.Link = &outbox.RelayedLink{MattermostToken: token, Kind: facts.LinkKind, Facts: facts.Link, Limit: taken.LimitTATMS, Audit: auditOf(taken, facts)}
		if own := taken.Token; own != nil {
			out.Link.Token = &store.NewToken{
				Digest: own.Digest, Purpose: own.Purpose, AccountID: own.AccountID, Address: own.Address,
				PasswordStamp: own.PasswordStamp, Redirect: own.Redirect, Replaces: own.Replaces, RequestedAt: facts.Now,
				ExpiresAt: time.UnixMilli(own.ExpiresAt),
			}
			template.TokenDigest = own.Digest
		} else {
			template.Cancelled = taken.HeldBack.Reason
		}
	}
	out.Mails = rows(template, taken.Recipients)
	for i, recipient := range taken.Recipients {
		out.Mails[i].Clear = taken.Clear.For(recipient.To)
	}
	return out, nil
}

// auditOf says what was decided over an account's mail (S33). Who asked for it stands in Mattermost's own record.
func auditOf(taken *core.Taken, facts *store.MailFacts) store.AuditRecord {
	record := store.AuditRecord{Event: "postroomTakeAccountMail", Status: "success", At: facts.Now.UnixMilli(), Facts: map[string]string{
		"plugin": "postroom", "decision": "mail", "kind": taken.Kind, "account_id": facts.Link.Account.ID,
		"address": taken.Recipients[0].MaskedTo, "mail_id": taken.Mail.ID,
	}}
	if taken.HeldBack != nil {
		record.Status, record.Facts["decision"], record.Facts["reason"] = "fail", "skip", taken.HeldBack.Why
	}
	return record
}

func rows(template store.NewMail, recipients []core.SealedRecipient) []store.NewMail {
	mails := make([]store.NewMail, len(recipients))
	for i, recipient := range recipients {
		mails[i] = template
		mails[i].ID, mails[i].MaskedTo, mails[i].Sealed = recipient.ID, recipient.MaskedTo, recipient.Sealed
	}
	return mails
}

// passedOn is the mail as it came, sealed by an operation that looks at none of it.
func (f *Flows) passedOn(ctx context.Context, in *current, mail *incoming) (*outbox.Relayed, error) {
	now, err := f.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	var passed core.PassMailResult
	err = f.Engine.Call(ctx, core.OpPassMail, now, core.PassMailArgs{
		Message: mail.message, EnvelopeFrom: mail.from, EnvelopeTo: mail.to, Key: in.AtRestKey,
	}, &passed)
	if err != nil {
		return nil, fmt.Errorf("a mail that can't be read can't be sealed either: %w", err)
	}
	f.Metrics.Relayed(metrics.PassedOn)
	f.Log.Error("A mail of Mattermost's could not be read and is passed on as it came", "mail", passed.Mail.ID, "why", mail.passed, "trouble", mail.trouble)
	return &outbox.Relayed{Mails: rows(store.NewMail{
		Kind: "other", Class: store.ClassNotification, Locale: in.Site.DefaultLocale, Size: passed.Mail.Size, KeyID: passed.Mail.KeyID,
		ExpiresAt: time.UnixMilli(passed.Mail.ExpiresAt), Note: "passed_on:" + mail.passed,
	}, passed.Recipients)}, nil
}
