package courier

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/courier/peer"
)

// observed sends a mail, and gives the last facts of each telling.
func observed(t *testing.T, to core.Connection) (core.Outcome, []core.Facts) {
	t.Helper()
	var mu sync.Mutex
	var all []core.Facts
	k := courier()
	k.Observe = func(facts core.Facts) { mu.Lock(); defer mu.Unlock(); all = append(all, facts) }
	outcome := k.Send(t.Context(), to, mail)
	mu.Lock()
	defer mu.Unlock()
	if len(all) == 0 {
		t.Fatal("nothing was observed")
	}
	return outcome, all
}

func steps(facts core.Facts) string {
	names := make([]string, 0, len(facts.Events))
	for _, event := range facts.Events {
		name := event.Step
		if event.Reply != nil {
			name += fmt.Sprintf(" %d", event.Reply.Code)
		}
		if event.Failure != nil {
			name += " " + *event.Failure
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// Each step is told when it ends, and what was told before is not changed by it.
func TestEachStepIsTold(t *testing.T) {
	p := peer.Start(t, func(p *peer.Peer) {
		p.TLS = peer.Certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
		offer(p, "STARTTLS")
		offer(p, "AUTH PLAIN LOGIN")
		offer(p, "SIZE 1000000")
	})
	connection := to(p)
	connection.Security, connection.Auth, connection.Username, connection.Password = "starttls", []string{"plain"}, "user", "s3cret word"
	outcome, all := observed(t, connection)
	if told(outcome) != "final_dot 250" {
		t.Fatalf("%+v", outcome)
	}
	last := all[len(all)-1]
	want := "connect, greeting 220, ehlo 250, starttls 220, tls, ehlo 250, auth 235, mail_from 250, rcpt_to 250, data 354, body, final_dot 250"
	if got := steps(last); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for i, facts := range all {
		if facts.Finished != (i == len(all)-1) || facts.Cancelled || !strings.HasPrefix(want, steps(facts)) {
			t.Errorf("telling %d: %+v", i, facts)
		}
	}
	if last.TLS == nil || last.TLS.Version != "1.3" || last.TLS.Verified || last.TLS.Problem != "self_signed" || len(last.TLS.Chain) != 1 ||
		!slices.Equal(last.TLS.Chain[0].Names, []string{"127.0.0.1"}) || len(last.TLS.Chain[0].SPKISHA256) != 64 {
		t.Errorf("%+v", last.TLS)
	}
	if last.Mechanism != "PLAIN" || !slices.Contains(last.Extensions, "SIZE 1000000") || !slices.Equal(last.Addresses, []string{"127.0.0.1"}) {
		t.Errorf("%+v", last)
	}
	if last.Events[0].Address != fmt.Sprintf("127.0.0.1:%d", p.Port) {
		t.Errorf("%+v", last.Events[0])
	}
}

// What a handshake showed is told also where it failed.
func TestAFailedHandshakeIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		verify   bool
		minimum  string
		peer     func(*peer.Peer)
		want     string
		problem  string
		version  string
		alert    string
		notTLS   string
		noChain  bool
		security string
	}{
		"unknown": {verify: true, peer: func(p *peer.Peer) { p.TLS = peer.Certificate(t, time.Now().Add(time.Hour), "127.0.0.1") }, want: "tls certificate", problem: "self_signed", version: "1.3"},
		"expired": {verify: true, peer: func(p *peer.Peer) { p.TLS = peer.Certificate(t, time.Now().Add(-time.Hour), "127.0.0.1") }, want: "tls certificate", problem: "expired", version: "1.3"},
		"name":    {verify: true, peer: func(p *peer.Peer) { p.TLS = peer.Certificate(t, time.Now().Add(time.Hour), "other.test") }, want: "tls certificate", problem: "name", version: "1.3"},
		"too old": {peer: func(p *peer.Peer) {
			p.TLS = peer.Certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
			p.TLS.MinVersion, p.TLS.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		}, want: "tls tls", alert: "protocol_version", noChain: true},
		"under the floor": {minimum: "1.3", peer: func(p *peer.Peer) {
			p.TLS = peer.Certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
			p.TLS.MaxVersion = tls.VersionTLS12
		}, want: "tls tls", alert: "protocol_version", noChain: true},
		"plain text": {peer: func(p *peer.Peer) { p.Implicit = false }, want: "tls tls", notTLS: "220 peer.test ESMTP", noChain: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := peer.Start(t, func(p *peer.Peer) { p.Implicit = true }, c.peer)
			connection := to(p)
			connection.Security, connection.VerifyCertificate, connection.MinTLS = "tls", c.verify, c.minimum
			outcome, all := observed(t, connection)
			if told(outcome) != c.want {
				t.Errorf("%s (%s)", told(outcome), outcome.Detail)
			}
			seen := all[len(all)-1].TLS
			if seen == nil || seen.Problem != c.problem || seen.Version != c.version || seen.Alert != c.alert || seen.NotTLS != c.notTLS || (len(seen.Chain) == 0) != c.noChain || seen.Verified {
				t.Errorf("%+v (%s)", seen, outcome.Detail)
			}
		})
	}
}

// What stands behind a wrong port is quoted, and what a server echoes of a secret is not, in whatever form.
func TestWhatIsToldHoldsNoSecret(t *testing.T) {
	p := peer.Start(t)
	p.At(peer.Greeting, peer.Say("* OK [CAPABILITY IMAP4rev1] Dovecot ready."))
	if outcome, _ := observed(t, to(p)); told(outcome) != "greeting protocol" || !strings.Contains(outcome.Detail, "* OK [CAPABILITY IMAP4rev1] Dovecot ready.") {
		t.Errorf("%+v", outcome)
	}
	const password = "correct horse"
	for _, mechanism := range []string{"plain", "login", "cram_md5"} {
		p := peer.Start(t, func(p *peer.Peer) { offer(p, "AUTH PLAIN LOGIN CRAM-MD5") })
		echo := func(s *peer.Session) bool {
			said := s.Line()
			if mechanism == "cram_md5" {
				said = s.Ask("<1896.697170952@postoffice.example.net>")
			}
			return peer.Say("535-5.7.8 " + password + " is not right, nor Y29ycmVjdCBob3JzZQ==\n535 5.7.8 after " + said)(s)
		}
		p.At(peer.AUTH, echo)
		connection := to(p)
		connection.Auth, connection.Username, connection.Password = []string{mechanism}, "user", password
		outcome, all := observed(t, connection)
		if told(outcome) != "auth 535" {
			t.Errorf("%s: %+v", mechanism, outcome)
		}
		everything, err := json.Marshal([]any{outcome, all})
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{password, "Y29ycmVjdCBob3JzZQ", "AHVzZXIAY29ycmVjdCBob3JzZQ", "dXNlciB"} {
			if strings.Contains(string(everything), secret) {
				t.Errorf("%s: %s is in %s", mechanism, secret, everything)
			}
		}
	}
}
