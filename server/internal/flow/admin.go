package flow

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/link"
	"postroom/server/internal/outbox"
	"postroom/server/internal/store"
)

// pageSize is how many mails a page of the log has.
const pageSize = 100

// Status is the outbox at a glance.
func (f *Flows) Status(ctx context.Context) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, acceptWithin)
	defer cancel()
	return Answer{JSON: f.Outbox.Status(ctx)}, nil
}

// Mails is a page of the log, newest first, of those that the query's state, kind and class let through; next is the
// cursor of the page after it.
func (f *Flows) Mails(ctx context.Context, query url.Values) (Answer, error) {
	filter, ok := filterOf(query)
	if !ok {
		return f.appError(ctx, "invalid_filter")
	}
	mails, err := f.Store.Mails(ctx, filter, pageSize)
	if err != nil {
		f.Log.Error("the log of mails could not be read", "error", err)
		return f.appError(ctx, "unavailable")
	}
	var next *string
	if len(mails) == pageSize {
		last := mails[len(mails)-1].Cursor()
		cursor := last.At.UTC().Format(time.RFC3339Nano) + "," + last.ID
		next = &cursor
	}
	if mails == nil {
		mails = []store.Mail{}
	}
	return Answer{JSON: map[string]any{"mails": mails, "next": next}}, nil
}

// filterOf reads state, kind, class and before: a time, or a page's next. False where one can't be.
func filterOf(query url.Values) (store.MailFilter, bool) {
	filter := store.MailFilter{State: query.Get("state"), Kind: query.Get("kind"), Class: query.Get("class")}
	ok := (filter.State == "" || slices.Contains(store.States, filter.State)) &&
		(filter.Class == "" || slices.Contains(store.Classes, filter.Class)) && kindPattern.MatchString(filter.Kind)
	if before := query.Get("before"); before != "" {
		at, id, _ := strings.Cut(before, ",")
		var err error
		filter.Before.ID = id
		filter.Before.At, err = time.Parse(time.RFC3339Nano, at)
		ok = ok && err == nil
	}
	return filter, ok
}

var kindPattern = regexp.MustCompile(`^[a-z_]{0,40}$`)

// Mail is one mail, with its body where it was captured. Each look at a body goes to the audit log.
func (f *Flows) Mail(ctx context.Context, id string) (Answer, error) {
	mail, err := f.Store.Mail(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return f.appError(ctx, "not_found")
	}
	if err != nil {
		f.Log.Error("a mail could not be read", "error", err)
		return f.appError(ctx, "unavailable")
	}
	shown := struct {
		*store.Mail
		Body *string `json:"body"`
	}{Mail: mail}
	answer := Answer{JSON: &shown}
	if len(mail.Sealed) == 0 || mail.HeldBy == nil || *mail.HeldBy != store.HeldByCapture {
		return answer, nil
	}
	var opened core.OpenResult
	err = f.Engine.Call(ctx, core.OpOpen, time.Now(), core.OpenArgs{
		Key: f.current.Load().AtRestKey, MailID: mail.ID, Sealed: mail.Sealed,
	}, &opened)
	if err != nil { // sealed under another key: the row can be shown, the body not
		f.Log.Warn("a captured mail could not be opened", "mail", mail.ID, "error", err)
		return answer, nil
	}
	body := string(opened.Message)
	shown.Body = &body
	answer.Audit = &link.Audit{Event: "postroomViewMailBody", Success: true, Params: map[string]string{"mail_id": mail.ID, "kind": mail.Kind}}
	return answer, nil
}

// Decide ends a hold of the outbox (R28): {"decision": "go_on" | "discard"}.
func (f *Flows) Decide(ctx context.Context, input Input) (Answer, error) {
	if input.TooLarge {
		return f.appError(ctx, "too_large")
	}
	var body struct {
		Decision string `json:"decision"`
	}
	if err := json.Unmarshal(input.Body, &body); err != nil || body.Decision != "go_on" && body.Decision != "discard" {
		return f.appError(ctx, "invalid_decision")
	}
	switch err := f.Outbox.Decide(ctx, body.Decision == "go_on"); {
	case errors.Is(err, outbox.ErrNotHeld):
		return f.appError(ctx, "invalid_decision")
	case err != nil:
		f.Log.Error("the hold could not be ended", "error", err)
		return f.appError(ctx, "unavailable")
	}
	return Answer{JSON: statusOK, Audit: &link.Audit{
		Event: "postroomDecideHold", Success: true, Params: map[string]string{"decision": body.Decision},
	}}, nil
}

// CancelMail takes a mail that waits out of the queue.
func (f *Flows) CancelMail(ctx context.Context, id string) (Answer, error) {
	return f.byHand(ctx, id, "postroomCancelMail", f.Outbox.Cancel)
}

// ResendMail sends a mail again, an account's with a new link (S25). The answer names the mail that is sent.
func (f *Flows) ResendMail(ctx context.Context, id string) (Answer, error) {
	return f.byHand(ctx, id, "postroomResendMail", f.Outbox.Resend)
}

func (f *Flows) byHand(ctx context.Context, id, event string, do func(context.Context, string) (outbox.ByHand, error)) (Answer, error) {
	mail, err := f.Store.Mail(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return f.appError(ctx, "not_found")
	}
	var done outbox.ByHand
	if err == nil {
		done, err = do(ctx, mail.ID)
	}
	if err != nil {
		f.Log.Error("what an administrator wished of a mail could not be done", "event", event, "mail", id, "error", err)
		return f.appError(ctx, "unavailable")
	}
	audit := &link.Audit{Event: event, Success: done.Refused == nil, Params: map[string]string{"mail_id": mail.ID, "kind": mail.Kind}}
	if done.Refused != nil {
		audit.Params["refused"] = done.Refused.ID
		return Answer{AppError: done.Refused, Audit: audit}, nil
	}
	sent := mail.ID
	if done.NewMailID != "" {
		sent, audit.Params["new_mail_id"] = done.NewMailID, done.NewMailID
	}
	return Answer{JSON: map[string]string{"status": "OK", "mail_id": sent}, Audit: audit}, nil
}

// EraseAccount removes everything kept about an account.
func (f *Flows) EraseAccount(ctx context.Context, accountID string) (Answer, error) {
	erased, err := f.Store.Erase(ctx, accountID)
	if err != nil {
		f.Log.Error("an account's rows could not be erased", "error", err)
		return f.appError(ctx, "unavailable")
	}
	return Answer{JSON: map[string]any{"status": "OK", "mails": erased}, Audit: &link.Audit{
		Event: "postroomEraseAccount", Success: true, Params: map[string]string{"account_id": accountID, "mails": strconv.FormatInt(erased, 10)},
	}}, nil
}

// Console answers the console's page, whose script asks for the rest.
func (f *Flows) Console(ctx context.Context, admin bool, asker Asker) (Answer, error) {
	switch {
	case admin:
		return f.page(ctx, "console", asker)
	case asker.UserID != "":
		return f.page(ctx, "not_admin", asker)
	default:
		return f.page(ctx, "log_in", asker)
	}
}

// NoSuchRoute answers a path that is none of ours.
func (f *Flows) NoSuchRoute(ctx context.Context, page bool, asker Asker) (Answer, error) {
	if page {
		return f.page(ctx, "not_found", asker)
	}
	return f.appError(ctx, "not_found")
}
