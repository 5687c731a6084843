package shim

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
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
	bot, err := api.EnsureBotUser(&model.Bot{Username: pluginID, DisplayName: "Postroom", Description: "Tells system admins about mail."})
	if err != nil {
		return fmt.Errorf("the plugin's bot could not be made: %w", err)
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
	if err := patch(base, session.Token, to.Settings); err != nil {
		return err
	}
	err = readBack(settingsOf(api.GetUnsanitizedConfig()), to.Settings)
	if err != nil { // some may have been changed and some not: all as before is better than half
		err = errors.Join(err, patch(base, session.Token, settingsOf(cfg)))
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

func patch(base, token string, settings link.EmailSettings) error {
	body, err := json.Marshal(map[string]any{"EmailSettings": settings})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patchWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, base+"/api/v4/config/patch", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	client := http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}, // see package mattermost
	}}
	defer client.CloseIdleConnections()
	reply, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("the Mattermost server's own API could not be reached on this machine: %w", err)
	}
	defer func() { _ = reply.Body.Close() }()
	if reply.StatusCode != http.StatusOK {
		var said model.AppError
		_ = json.NewDecoder(io.LimitReader(reply.Body, 64<<10)).Decode(&said)
		return fmt.Errorf("the Mattermost server refused to change the SMTP settings: %s (status %d)", said.Message, reply.StatusCode)
	}
	return nil
}

// readBack compares what is in force with what was written: a setting fixed by an environment variable, or left out
// by a restriction, is answered 200 all the same.
func readBack(have, want link.EmailSettings) error {
	// Mattermost puts its defaults where these two are empty.
	if want.SMTPServer == "" && have.SMTPServer == model.EmailSMTPDefaultServer {
		have.SMTPServer = ""
	}
	if want.SMTPPort == "" && have.SMTPPort == model.EmailSMTPDefaultPort {
		have.SMTPPort = ""
	}
	for _, setting := range []struct {
		name string
		same bool
	}{
		{"SMTPServer", have.SMTPServer == want.SMTPServer},
		{"SMTPPort", have.SMTPPort == want.SMTPPort},
		{"ConnectionSecurity", have.ConnectionSecurity == want.ConnectionSecurity},
		{"EnableSMTPAuth", have.EnableSMTPAuth == want.EnableSMTPAuth},
		{"SMTPUsername", have.SMTPUsername == want.SMTPUsername},
		{"SMTPPassword", have.SMTPPassword == want.SMTPPassword},
		{"SkipServerCertificateVerification", have.SkipServerCertificateVerification == want.SkipServerCertificateVerification},
	} {
		if !setting.same {
			return fmt.Errorf("EmailSettings.%s is still as it was after it was changed: it is fixed by an environment variable (MM_EMAILSETTINGS_…) or the configuration is read-only; change it there", setting.name)
		}
	}
	return nil
}
