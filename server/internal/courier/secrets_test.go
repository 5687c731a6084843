package courier

import (
	"crypto/tls"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/courier/peer"
)

// Required TLS fails closed, and nothing secret leaves before (S32).
func TestTLS(t *testing.T) {
	good := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		security string
		verify   bool
		peer     func(*peer.Peer)
		want     string
	}{
		"STARTTLS":          {"starttls", false, func(p *peer.Peer) { p.TLS = peer.Certificate(t, good, "127.0.0.1"); offer(p, "STARTTLS") }, "final_dot 250"},
		"TLS":               {"tls", false, func(p *peer.Peer) { p.TLS, p.Implicit = peer.Certificate(t, good, "127.0.0.1"), true }, "final_dot 250"},
		"STARTTLS stripped": {"starttls", false, func(*peer.Peer) {}, "starttls not_offered"},
		"STARTTLS refused":  {"starttls", false, func(p *peer.Peer) { offer(p, "STARTTLS") }, "starttls 502"},
		"an unknown authority": {"starttls", true, func(p *peer.Peer) {
			p.TLS = peer.Certificate(t, good, "127.0.0.1")
			offer(p, "STARTTLS")
		}, "tls certificate"},
		"expired": {"tls", true, func(p *peer.Peer) {
			p.TLS, p.Implicit = peer.Certificate(t, time.Now().Add(-time.Hour), "127.0.0.1"), true
		}, "tls certificate"},
		"another's name": {"tls", true, func(p *peer.Peer) { p.TLS, p.Implicit = peer.Certificate(t, good, "other.test"), true }, "tls certificate"},
		"TLS 1.0": {"starttls", false, func(p *peer.Peer) {
			p.TLS = peer.Certificate(t, good, "127.0.0.1")
			p.TLS.MinVersion, p.TLS.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
			offer(p, "STARTTLS")
		}, "tls tls"},
		"TLS 1.1 at once": {"tls", false, func(p *peer.Peer) {
			p.TLS, p.Implicit = peer.Certificate(t, good, "127.0.0.1"), true
			p.TLS.MinVersion, p.TLS.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		}, "tls tls"},
		"plain text where TLS is expected": {"tls", false, func(*peer.Peer) {}, "tls tls"},
	} {
		t.Run(name, func(t *testing.T) {
			p := peer.Start(t, func(p *peer.Peer) { offer(p, "AUTH PLAIN") }, c.peer)
			connection := to(p)
			connection.Security, connection.VerifyCertificate = c.security, c.verify
			connection.Auth, connection.Username, connection.Password = []string{"plain", "login"}, "user", "password"
			outcome := courier().Send(t.Context(), connection, mail)
			if got := told(outcome); got != c.want {
				t.Errorf("%s, want %s (%s)", got, c.want, outcome.Detail)
			}
			for _, taken := range p.Mails() {
				if !taken.TLS || taken.User != "user" || taken.Password != "password" {
					t.Errorf("%+v", taken)
				}
			}
			for _, command := range p.Commands() {
				if outcome.Step != StepFinalDot && strings.HasPrefix(command, "AUTH") {
					t.Errorf("%s was sent", command)
				}
			}
		})
	}
}

func offer(p *peer.Peer, extension string) { p.Extensions = append(p.Extensions, extension) }

func TestACertificateThatFitsIsTaken(t *testing.T) {
	config := peer.Certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
	p := peer.Start(t, func(p *peer.Peer) { p.TLS, p.Implicit = config, true })
	connection := to(p)
	connection.Security, connection.VerifyCertificate = "tls", true
	connection.CA = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: config.Certificates[0].Certificate[0]}))
	if got := told(courier().Send(t.Context(), connection, mail)); got != "final_dot 250" {
		t.Error(got)
	}
}

func TestAuthentication(t *testing.T) {
	for name, c := range map[string]struct {
		offer    string
		security string
		do       peer.Action
		want     string
	}{
		"PLAIN":                    {"AUTH PLAIN LOGIN", "none", nil, "final_dot 250"}, // to this machine
		"LOGIN":                    {"AUTH LOGIN", "none", nil, "final_dot 250"},
		"not offered":              {"", "none", nil, "auth not_offered"},
		"only what is not spoken":  {"AUTH GSSAPI NTLM", "none", nil, "auth not_offered"},
		"refused":                  {"AUTH PLAIN", "none", peer.Say("535 5.7.8 password is not right"), "auth 535"},
		"asked without end":        {"AUTH PLAIN", "none", peer.Say("334 "), "auth protocol"},
		"a challenge of no base64": {"AUTH LOGIN", "none", peer.Say("334 !!!"), "auth protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			p := peer.Start(t, func(p *peer.Peer) {
				if c.offer != "" {
					offer(p, c.offer)
				}
			})
			p.At(peer.AUTH, c.do)
			connection := to(p)
			connection.Auth, connection.Username, connection.Password = []string{"plain", "login"}, "user", "password is"
			outcome := courier().Send(t.Context(), connection, mail)
			if got := told(outcome); got != c.want {
				t.Errorf("%s, want %s (%s)", got, c.want, outcome.Detail)
			}
			if outcome.Reply != nil && strings.Contains(outcome.Reply.Text, "password is") {
				t.Errorf("the password is in %q", outcome.Reply.Text)
			}
			if got := p.Mails(); c.want == "final_dot 250" && (len(got) != 1 || got[0].User != "user" || got[0].Password != "password is") {
				t.Errorf("%+v", got)
			} else if c.want != "final_dot 250" && len(got) > 0 {
				t.Error("a mail left without authentication")
			}
		})
	}
	// Never in clear to another machine.
	talk := &conversation{courier: courier(), to: core.Connection{Server: "mail.example.com", Security: "none", Auth: []string{"plain"}}, session: session{line: &line{remote: "192.0.2.1:25"}}, notes: newNotes(&secrets{}, nil)}
	if outcome := talk.authenticate(t.Context()); outcome == nil || told(*outcome) != "auth not_offered" {
		t.Errorf("%+v", outcome)
	}
}
