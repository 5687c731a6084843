package shim

import (
	"errors"
	"fmt"
	"time"

	"github.com/mattermost/mattermost/server/public/model"
	"github.com/mattermost/mattermost/server/public/plugin"

	"postroom/server/internal/link"
)

const (
	patchWithin = 15 * time.Second
	// sessionFor is longer than the act that a session is made for, which ends it.
	sessionFor = time.Minute
)

// switchMail changes the seven settings that decide where Mattermost's mail goes, and no other. The right to do so
// is a session of the plugin's bot, made for this act and revoked after it; the bot itself stays a plain user, and
// the session's token does not leave this function. Its error is in words for an admin.
func switchMail(api plugin.API, to link.Switch) error {
	cfg := api.GetUnsanitizedConfig()
	if model.SafeDereference(cfg.ExperimentalSettings.RestrictSystemAdmin) {
		return errors.New("ExperimentalSettings.RestrictSystemAdmin is on, and keeps the SMTP settings from being changed; switch it off first")
	}
	base, err := link.LocalBase(model.SafeDereference(cfg.ServiceSettings.ListenAddress),
		model.SafeDereference(cfg.ServiceSettings.ConnectionSecurity) == "TLS", model.SafeDereference(cfg.ServiceSettings.SiteURL))
	if err != nil {
		return err
	}
	if to.On && to.Settings.SMTPServer != "127.0.0.1" {
		return errors.New("the relay is on this machine's loopback address, and mail is pointed nowhere else")
	}
	bot, err := ensureBot(api)
	if err != nil {
		return err
	}
	session, appErr := api.CreateSession(&model.Session{
		UserId: bot, Roles: model.SystemUserRoleId + " " + model.SystemAdminRoleId, ExpiresAt: model.GetMillis() + sessionFor.Milliseconds(),
	})
	if appErr != nil {
		return fmt.Errorf("no session could be made to change the SMTP settings: %s", appErr.Message)
	}
	defer func() {
		if appErr := api.RevokeSession(session.Id); appErr != nil {
			api.LogError("the session that changed the SMTP settings could not be revoked; it expires within a minute", "error", appErr.Error())
		}
	}()
	act := act{base: base, token: session.Token}
	if err := act.refuseFixed(settingsOf(cfg), to.Settings); err != nil {
		return err
	}
	if err := act.patch(to.Settings); err != nil {
		return err
	}
	err = readBack(settingsOf(api.GetUnsanitizedConfig()), to.Settings)
	if err != nil { // some may have been changed and some not: all as before is better than half
		err = errors.Join(err, act.patch(settingsOf(cfg)))
	}
	return err
}

// settingsOf reads the seven; the RPC gives nil for "" and false.
func settingsOf(cfg *model.Config) link.EmailSettings {
	in := cfg.EmailSettings
	return link.EmailSettings{
		SMTPServer: model.SafeDereference(in.SMTPServer), SMTPPort: model.SafeDereference(in.SMTPPort),
		ConnectionSecurity: model.SafeDereference(in.ConnectionSecurity), EnableSMTPAuth: model.SafeDereference(in.EnableSMTPAuth),
		SMTPUsername: model.SafeDereference(in.SMTPUsername), SMTPPassword: model.SafeDereference(in.SMTPPassword),
		SkipServerCertificateVerification: model.SafeDereference(in.SkipServerCertificateVerification),
	}
}

// readBack compares what is in force with what was written: a setting left out by a restriction, or fixed elsewhere, is
// answered 200 all the same.
func readBack(have, want link.EmailSettings) error {
	// Mattermost puts its defaults where these two are empty.
	if want.SMTPServer == "" && have.SMTPServer == model.EmailSMTPDefaultServer {
		have.SMTPServer = ""
	}
	if want.SMTPPort == "" && have.SMTPPort == model.EmailSMTPDefaultPort {
		have.SMTPPort = ""
	}
	if names := differing(have, want); len(names) > 0 {
		return fmt.Errorf("EmailSettings.%s is still as it was after it was changed, and all is as before; set it in System Console > Environment > SMTP, and look into the server's log if that fails too", names[0])
	}
	return nil
}

// differing are the settings, by Mattermost's names, in which two differ.
func differing(a, b link.EmailSettings) []string {
	var names []string
	for _, setting := range []struct {
		name string
		same bool
	}{
		{"SMTPServer", a.SMTPServer == b.SMTPServer},
		{"SMTPPort", a.SMTPPort == b.SMTPPort},
		{"ConnectionSecurity", a.ConnectionSecurity == b.ConnectionSecurity},
		{"EnableSMTPAuth", a.EnableSMTPAuth == b.EnableSMTPAuth},
		{"SMTPUsername", a.SMTPUsername == b.SMTPUsername},
		{"SMTPPassword", a.SMTPPassword == b.SMTPPassword},
		{"SkipServerCertificateVerification", a.SkipServerCertificateVerification == b.SkipServerCertificateVerification},
	} {
		if !setting.same {
			names = append(names, setting.name)
		}
	}
	return names
}
