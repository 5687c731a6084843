package flow

import (
	"context"
	"encoding/json"
	"errors"
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

// Mails is a page of the log, newest first; next is the cursor of the page after it.
func (f *Flows) Mails(ctx context.Context, before time.Time) (Answer, error) {
	mails, err := f.Store.Mails(ctx, before, pageSize)
	if err != nil {
		f.Log.Error("the log of mails could not be read", "error", err)
		return f.appError(ctx, "unavailable")
	}
	var next *string
	if len(mails) == pageSize {
		cursor := mails[len(mails)-1].QueuedAt.UTC().Format(time.RFC3339Nano)
		next = &cursor
	}
	if mails == nil {
		mails = []store.Mail{}
	}
	return Answer{JSON: map[string]any{"mails": mails, "next": next}}, nil
}

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

// NoSuchRoute answers a path that is none of ours.
func (f *Flows) NoSuchRoute(ctx context.Context, page bool, asker Asker) (Answer, error) {
	if page {
		return f.page(ctx, "not_found", asker)
	}
	return f.appError(ctx, "not_found")
}
