package flow

import (
	"context"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/outbox"
	"postroom/server/internal/store"
)

// TellOrphaned mails every system admin that the plugin has been gone since then while Mattermost's mail comes to the
// relay, and the way back. Of several nodes the first does.
func (f *Flows) TellOrphaned(ctx context.Context, since time.Time) error {
	in := f.current.Load()
	admins, err := f.Store.Admins(ctx)
	if err != nil {
		return err
	}
	now, err := f.Store.Now(ctx)
	if err != nil {
		return err
	}
	var original *core.OriginalSettings
	if before, err := f.Switching.before(ctx, in.asSaved()); err == nil && before != nil {
		original = &core.OriginalSettings{
			Server: before.SMTPServer, Port: before.SMTPPort, Security: before.ConnectionSecurity, Auth: before.EnableSMTPAuth,
			Username: before.SMTPUsername, SkipVerification: before.SkipServerCertificateVerification,
		}
	}
	mails := make([]store.NewMail, 0, len(admins))
	for _, admin := range admins {
		var mail core.ComposeOrphanedResult
		err := f.Engine.Call(ctx, core.OpComposeOrphaned, now, core.ComposeOrphanedArgs{
			To: admin.Email, Locale: admin.Locale, Since: since.UnixMilli(), Original: original, Site: in.Site, Key: in.AtRestKey,
		}, &mail)
		if err != nil { // of this address; the others are told all the same
			f.Log.Error("an admin can't be mailed about the plugin", "account", admin.ID, "error", err)
			continue
		}
		mails = append(mails, store.NewMail{
			ID: mail.ID, Kind: outbox.KindOrphaned, Class: store.ClassAccount, AccountID: admin.ID, MaskedTo: mail.MaskedTo, Locale: mail.Locale,
			MessageID: mail.MessageID, Size: mail.Size, ExpiresAt: time.UnixMilli(mail.ExpiresAt), Sealed: mail.Sealed, KeyID: mail.KeyID,
		})
	}
	told, err := f.Outbox.TellAlone(ctx, since, mails)
	if told {
		f.Log.Warn("the system admins are mailed about the plugin, and the way back", "admins", len(mails))
	}
	return err
}
