package flow

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"postroom/server/internal/link"
	"postroom/server/internal/settings"
)

// standing is how Mattermost's settings stand to the relay.
type standing int

const (
	// off: they name a server of the admin's.
	off standing = iota
	// on: all seven are the relay's.
	on
	// crooked: they name the relay, but not all of the seven are its own, so that mail does not get through.
	crooked
	// leftover: they log in to another server as one does to the relay. An environment variable does that.
	leftover
)

// standing reads them.
func (s *Switching) standing(raw json.RawMessage) (standing, link.EmailSettings) {
	var have link.EmailSettings
	port, err := s.Port()
	if err != nil || json.Unmarshal(raw, &have) != nil {
		return off, have
	}
	want := port.settings()
	switch {
	case have == want:
		return on, have
	case have.SMTPServer == want.SMTPServer && have.SMTPPort == want.SMTPPort:
		return crooked, have
	case have.EnableSMTPAuth && have.SMTPUsername == want.SMTPUsername && have.SMTPPassword == want.SMTPPassword:
		return leftover, have
	}
	return off, have
}

// before is where mail goes on to, and what Mattermost's settings become when the relay is switched off: those from
// before it; of a leftover the admin's own server, with what belongs to it. nil where the relay is not in the settings.
func (s *Switching) before(ctx context.Context, snapshot *settings.Snapshot) (*link.EmailSettings, error) {
	how, have := s.standing(snapshot.Email)
	if how == off {
		return nil, nil
	}
	original, err := s.original(ctx, snapshot)
	if err != nil {
		return nil, err
	}
	if how == leftover {
		if port, err := s.Port(); err == nil {
			keepOwn(&original, have, port.settings())
		}
	}
	return &original, nil
}

// keepOwn takes from have what is not the relay's: an admin has set it since.
func keepOwn(original *link.EmailSettings, have, relay link.EmailSettings) {
	if have.SMTPServer != relay.SMTPServer {
		original.SMTPServer = have.SMTPServer
	}
	if have.SMTPPort != relay.SMTPPort {
		original.SMTPPort = have.SMTPPort
	}
	if have.ConnectionSecurity != relay.ConnectionSecurity {
		original.ConnectionSecurity = have.ConnectionSecurity
	}
	if have.SkipServerCertificateVerification != relay.SkipServerCertificateVerification {
		original.SkipServerCertificateVerification = have.SkipServerCertificateVerification
	}
}

// notAsRelay says what an admin should know of settings that are the relay's in part, "" where they are not.
func (s *Switching) notAsRelay(raw json.RawMessage) string {
	how, have := s.standing(raw)
	port, err := s.Port()
	if err != nil || how == off || how == on {
		return ""
	}
	names := strings.Join(differing(have, port.settings()), ", ")
	if how == crooked {
		return "Mattermost's settings name the relay, but " + names + " differ from what it takes, so that no mail gets through. Enable the relay to set them right, or disable it to put back what was there before"
	}
	return "Mattermost's settings log in to " + have.SMTPServer + ":" + have.SMTPPort + " as one does to the relay, as " + names +
		" were set since. Disable the relay to put back what belongs to that server, or enable it"
}

// differing are the settings, by Mattermost's names, in which two differ.
func differing(a, b link.EmailSettings) []string {
	pairs := []struct{ name, a, b string }{
		{"SMTPServer", a.SMTPServer, b.SMTPServer}, {"SMTPPort", a.SMTPPort, b.SMTPPort},
		{"ConnectionSecurity", a.ConnectionSecurity, b.ConnectionSecurity},
		{"EnableSMTPAuth", strconv.FormatBool(a.EnableSMTPAuth), strconv.FormatBool(b.EnableSMTPAuth)},
		{"SMTPUsername", a.SMTPUsername, b.SMTPUsername}, {"SMTPPassword", a.SMTPPassword, b.SMTPPassword},
		{"SkipServerCertificateVerification", strconv.FormatBool(a.SkipServerCertificateVerification), strconv.FormatBool(b.SkipServerCertificateVerification)},
	}
	names := []string{}
	for _, pair := range pairs {
		if pair.a != pair.b {
			names = append(names, pair.name)
		}
	}
	return names
}
