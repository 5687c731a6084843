package flow

import (
	"context"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/outbox"
)

// testWithin bounds a test mail's whole conversation.
const testWithin = 60 * time.Second

// TestMail sends a test mail to whoever asks, with the configuration in the body or the current one.
func (f *Flows) TestMail(ctx context.Context, input Input, asker Asker) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, testWithin)
	defer cancel()
	now, current := time.Now(), f.current.Load()
	var read core.ReadTestResult
	err := f.Engine.Call(ctx, core.OpReadTest, now, core.ReadTestArgs{
		Body: input.Body, TooLarge: input.TooLarge, Current: current.saved,
	}, &read)
	if err == nil && read.Connection != nil && f.Switching.Is(*read.Connection) {
		// The relay itself is named, by the button's form or by the current settings: what is asked is whether mail
		// gets through, and the relay would say yes before it knows.
		read = core.ReadTestResult{}
		err = f.Engine.Call(ctx, core.OpReadTest, now, core.ReadTestArgs{Current: current.Email}, &read)
	}
	if err != nil || read.AppError != nil {
		return Answer{AppError: read.AppError}, err
	}
	account, err := f.Store.AccountByID(ctx, asker.UserID)
	if err != nil || account == nil {
		f.Log.Error("the account that a test mail goes to could not be read", "error", err)
		return f.appError(ctx, "unavailable")
	}
	site := current.Site
	site.FromAddress, site.FromName, site.ReplyTo = read.From.FromAddress, read.From.FromName, read.From.ReplyTo
	var mail core.ComposeTestResult
	err = f.Engine.Call(ctx, core.OpComposeTest, now, core.ComposeTestArgs{To: account.Email, Locale: account.Locale, Site: site}, &mail)
	if err != nil {
		return Answer{}, err
	}
	outcome := f.Outbox.SendTest(ctx, *read.Connection, outbox.TestMail{
		ID: mail.ID, MessageID: mail.MessageID, MaskedTo: mail.MaskedTo, Locale: mail.Locale, Size: mail.Size,
		EnvelopeFrom: mail.EnvelopeFrom, EnvelopeTo: mail.EnvelopeTo, Message: mail.Message,
	}, nil)
	var reply core.AppErrorResult
	if err := f.Engine.Call(ctx, core.OpTestReply, time.Now(), core.TestReplyArgs{Outcome: outcome}, &reply); err != nil {
		return Answer{}, err
	}
	if reply.AppError != nil {
		return Answer{AppError: reply.AppError}, nil
	}
	return Answer{JSON: statusOK}, nil
}
