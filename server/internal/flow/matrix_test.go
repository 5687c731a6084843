package flow

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/courier"
	"postroom/server/internal/courier/peer"
	"postroom/server/internal/engine"
)

// cell is one of the matrix: a connection of that security to a peer that does something wrong, or nothing.
type cell struct {
	name     string
	security string
	peer     func(*peer.Peer)
	to       func(*core.Connection)
	failed   string // the step that fails; "" for a mail that is accepted
	causes   string // one of these, with blanks between them; "" for any
	warns    bool   // at tls: it is accepted all the same
}

const matrixPassword = "hunter2-hunter2"

var (
	securities = []string{"none", "starttls", "tls"}
	// matrixDeadlines are long enough for a busy machine, and the cells that stall do so at once.
	matrixDeadlines = courier.Deadlines{DNS: 20 * time.Second, Connect: 20 * time.Second, TLS: stallFor, Greeting: stallFor,
		Command: stallFor, Data: stallFor, Block: 20 * time.Second, FinalDot: stallFor, Quit: time.Second, Total: time.Minute}
)

const stallFor = 3 * time.Second

// faults are what a peer does in place of its answer, at each step alike.
var faults = map[string]peer.Action{
	"stalls": peer.Stall(), "closes": peer.Close(), "resets": peer.Reset(), "talks nonsense": peer.SayAndClose("what do you want?"),
	"refuses": peer.Say("554 5.7.1 Not you"), "puts off": peer.Say("451 4.3.0 Not now"), "closes its service": peer.SayAndClose("421 4.3.2 Shutting down"),
}

// places are where a peer does it, and the step that shows it.
var places = []struct{ at, step string }{
	{peer.Greeting, "greeting"}, {peer.EHLO, "ehlo"}, {peer.STARTTLS, "starttls"}, {peer.AUTH, "auth"}, {peer.MAIL, "mail_from"},
	{peer.RCPT, "rcpt_to"}, {peer.DATA, "data"}, {peer.Dot, "queued"},
}

func faultCells() (cells []cell) {
	for _, security := range securities {
		cells = append(cells, cell{name: "nothing is wrong", security: security})
		for _, place := range places {
			if place.at == peer.STARTTLS && security != "starttls" {
				continue
			}
			for what, action := range faults {
				failed := place.step
				if place.at == peer.Greeting && what == "resets" {
					failed = "greeting tcp" // which may come before the connection stands
				}
				cells = append(cells, cell{name: place.at + " " + what, security: security, failed: failed, peer: func(p *peer.Peer) {
					p.At(place.at, afterHandshake(action))
					if place.at == peer.EHLO {
						p.At("HELO", action)
					}
				}})
			}
		}
		// Between 354 and the final dot only what breaks the connection can be told from the dot's own answer.
		for _, what := range []string{"stalls", "closes", "resets"} {
			cells = append(cells, cell{name: "body " + what, security: security, failed: "queued data", peer: func(p *peer.Peer) { p.At(peer.Body, faults[what]) }})
		}
	}
	return cells
}

// afterHandshake does it once TLS stands, where there is any: a peer of ours shakes hands with the first octet.
func afterHandshake(then peer.Action) peer.Action {
	return func(s *peer.Session) bool {
		if secure, is := s.Conn.(*tls.Conn); is && secure.Handshake() != nil {
			return false
		}
		return then(s)
	}
}

// handshakeCells break off between the first octet and TLS.
func handshakeCells() (cells []cell) {
	for what, action := range faults {
		cells = append(cells, cell{name: "handshake " + what, security: "tls", failed: "tls tcp", peer: func(p *peer.Peer) {
			p.Implicit = false
			p.At(peer.Greeting, action)
		}}, cell{name: "handshake " + what, security: "starttls", failed: "tls", peer: func(p *peer.Peer) {
			p.At(peer.STARTTLS, func(s *peer.Session) bool { return peer.Say("220 2.0.0 Go ahead")(s) && action(s) })
		}}, cell{name: "EHLO again " + what, security: "starttls", failed: "ehlo", peer: func(p *peer.Peer) {
			var once sync.Once
			again := func(s *peer.Session) bool {
				first := false
				once.Do(func() { first = true })
				if first {
					return peer.Say("250-peer.test\n250 STARTTLS")(s)
				}
				return action(s)
			}
			p.At(peer.EHLO, again)
			p.At("HELO", action)
		}})
	}
	return cells
}

// certificateCells are certificates of every bad kind. The check switched off lets them pass, with a warning.
func certificateCells(t *testing.T) (cells []cell) {
	root, stranger := peer.NewAuthority(t, "A root that is trusted"), peer.NewAuthority(t, "A root that nobody knows")
	day := 24 * time.Hour
	for _, c := range []struct {
		name, causes string
		tls          *tls.Config
		to           func(*core.Connection)
		always       bool // also with the check switched off
	}{
		{name: "good", tls: root.Issue(t, nil)},
		{name: "good, by an authority below", tls: root.Below(t, "Below", nil).Issue(t, nil)},
		{name: "expired", causes: "certificate_expired", tls: root.Issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-day) })},
		{name: "not yet valid", causes: "certificate_not_yet_valid", tls: root.Issue(t, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(day) })},
		{name: "self-signed", causes: "certificate_self_signed", tls: peer.Certificate(t, time.Now().Add(day), "localhost")},
		{name: "another's name", causes: "certificate_wrong_name", tls: root.Issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"mail.example.org"} })},
		{name: "no name but the common name", causes: "certificate_wrong_name", tls: root.Issue(t, func(c *x509.Certificate) { c.DNSNames, c.Subject.CommonName = nil, "localhost" })},
		{name: "an unknown authority", causes: "certificate_unknown_authority", tls: stranger.Issue(t, nil)},
		{name: "an authority below is left out", causes: "certificate_unknown_authority", tls: leftOut(root.Below(t, "Below", nil).Issue(t, nil))},
		{name: "an authority below is no authority", tls: root.Below(t, "No authority", func(c *x509.Certificate) { c.IsCA = false }).Issue(t, nil)},
		{name: "an authority below has expired", tls: root.Below(t, "Old", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-day) }).Issue(t, nil)},
		{name: "for clients only", tls: root.Issue(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })},
		{name: "its authority may not sign that name", tls: root.Below(t, "Limited", func(c *x509.Certificate) {
			c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"example.org"}, true
		}).Issue(t, nil)},
		{name: "another key than the pinned", always: true, tls: root.Issue(t, nil), to: func(c *core.Connection) { c.Pin = strings.Repeat("ab", 32) }},
		{name: "TLS 1.1 at most", always: true, tls: versions(root.Issue(t, nil), tls.VersionTLS10, tls.VersionTLS11)},
		{name: "TLS 1.2 where 1.3 is asked for", always: true, tls: versions(root.Issue(t, nil), tls.VersionTLS12, tls.VersionTLS12), to: func(c *core.Connection) { c.MinTLS = "1.3" }},
		{name: "a certificate of the client's is asked for", always: true, tls: clientAuth(root.Issue(t, nil))},
	} {
		for _, security := range securities[1:] {
			for _, verify := range []bool{true, false} {
				cell := cell{security: security, name: fmt.Sprintf("%s, checked %v", c.name, verify), peer: func(p *peer.Peer) { p.TLS = c.tls }, to: func(to *core.Connection) {
					to.VerifyCertificate, to.CA = verify, root.PEM
					if c.to != nil {
						c.to(to)
					}
				}}
				good := strings.HasPrefix(c.name, "good")
				if !good && (verify || c.always) {
					cell.failed, cell.causes = "tls", c.causes
				}
				if c.name == "a certificate of the client's is asked for" {
					cell.failed = "tls ehlo greeting" // TLS 1.3 tells it with the first octets after the handshake
				}
				cell.warns = !good && !verify && cell.failed == ""
				cells = append(cells, cell)
			}
		}
	}
	return cells
}

func leftOut(config *tls.Config) *tls.Config {
	config.Certificates[0].Certificate = config.Certificates[0].Certificate[:1]
	return config
}

func versions(config *tls.Config, least, most uint16) *tls.Config {
	config.MinVersion, config.MaxVersion = least, most
	return config
}

func clientAuth(config *tls.Config) *tls.Config {
	config.ClientAuth = tls.RequireAnyClientCert
	return config
}

// authCells are each mechanism, refused, put off, or not offered.
func authCells() (cells []cell) {
	for _, security := range securities {
		for mine, theirs := range map[string]string{"plain": "PLAIN", "login": "LOGIN", "cram_md5": "CRAM-MD5", "scram_sha_256": "SCRAM-SHA-256"} {
			for what, reply := range map[string]string{"refused": "535 5.7.8 Authentication credentials invalid", "put off": "454 4.7.0 Temporary authentication failure"} {
				cells = append(cells, cell{name: theirs + " " + what, security: security, failed: "auth", peer: func(p *peer.Peer) {
					p.Extensions = []string{"AUTH " + theirs}
					p.At(peer.AUTH, challenged(theirs, peer.Say(reply)))
				}, to: func(to *core.Connection) { to.Auth = []string{mine} }})
			}
			cells = append(cells, cell{name: theirs + " not offered", security: security, failed: "auth", peer: func(p *peer.Peer) {
				p.Extensions = []string{"AUTH GSSAPI"}
			}, to: func(to *core.Connection) { to.Auth = []string{mine} }})
		}
		cells = append(cells, cell{name: "no AUTH at all", security: security, failed: "auth", peer: func(p *peer.Peer) { p.Extensions = []string{"8BITMIME"} }},
			cell{name: "AUTH asked for, none set", security: security, failed: "mail_from", peer: func(p *peer.Peer) { p.At(peer.MAIL, peer.Say("530 5.7.0 Authentication required")) },
				to: func(to *core.Connection) { to.Auth = nil }})
	}
	return append(cells, cell{name: "STARTTLS not offered", security: "starttls", failed: "starttls", peer: func(p *peer.Peer) { p.TLS = nil }})
}

// challenged asks what the mechanism asks, with challenges that are well formed, and then does the rest.
func challenged(mechanism string, then peer.Action) peer.Action {
	return func(s *peer.Session) bool {
		switch mechanism {
		case "LOGIN":
			s.Ask("Username:")
			s.Ask("Password:")
		case "CRAM-MD5":
			s.Ask("<1896.697170952@peer.test>")
		case "SCRAM-SHA-256":
			_, initial, _ := strings.Cut(strings.TrimPrefix(s.Line(), "AUTH "), " ")
			first, _ := base64.StdEncoding.DecodeString(initial)
			_, nonce, _ := strings.Cut(string(first), ",r=")
			s.Ask("r=" + nonce + "peers,s=" + base64.StdEncoding.EncodeToString([]byte("salt-of-the-peer")) + ",i=4096")
		}
		return then(s)
	}
}

// TestMatrix plays every cell through real sockets, the courier and the core. The step, that a cause is known, and that
// there is advice are what is asked of each; steps before it went well, and those after it never began.
func TestMatrix(t *testing.T) {
	wasm, err := os.ReadFile(filepath.Join("..", "..", "..", ".build", "core.wasm"))
	if err != nil {
		t.Fatal("the core is not built; run make wasm: ", err)
	}
	e, err := engine.New(t.Context(), engine.Options{Wasm: wasm, CacheDir: cache(t), MemoryPages: 8192, Deadline: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(t.Context()) })
	cells := slices.Concat(faultCells(), handshakeCells(), certificateCells(t), authCells())
	// As many at once as stall, so that they do so together.
	places, all := make(chan struct{}, 48), sync.WaitGroup{}
	for _, cell := range cells {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			for _, wrong := range play(t, e, cell) {
				t.Errorf("%s, %s: %s", cell.security, cell.name, wrong)
			}
		})
	}
	all.Wait()
	t.Log(len(cells), "cells")
}

// play gives what is wrong with what a cell shows.
func play(t *testing.T, e *engine.Engine, cell cell) (wrong []string) {
	authority := peer.Certificate(t, time.Now().Add(time.Hour), "localhost")
	p := peer.Start(t, func(p *peer.Peer) {
		p.Extensions = append(p.Extensions, "AUTH PLAIN")
		p.TLS, p.Implicit = authority, cell.security == "tls"
		if cell.peer != nil {
			cell.peer(p)
		}
		if p.TLS != nil && !p.Implicit {
			p.Extensions = append(p.Extensions, "STARTTLS")
		}
	})
	to := core.Connection{Name: "mattermost", Server: "localhost", Port: p.Port, Security: cell.security, MinTLS: "1.2",
		Auth: []string{"plain"}, Username: "postroom", Password: matrixPassword}
	if cell.to != nil {
		cell.to(&to)
	}
	var facts core.Facts
	sender := courier.Courier{Deadlines: matrixDeadlines, Name: "postroom.test", Observe: func(seen core.Facts) { facts = seen }}
	message := "From: <from@example.com>\r\nTo: <to@example.com>\r\nSubject: A test\r\n\r\nA test.\r\n"
	sender.Send(t.Context(), to, courier.Envelope{From: "from@example.com", To: "to@example.com", Message: []byte(message)})
	var found core.Diagnosis
	err := e.Call(t.Context(), core.OpDiagnose, time.Now(), core.DiagnoseArgs{Connection: to.Shown(), Facts: facts, EnvelopeFrom: "from@example.com", To: "to@example.com"}, &found)
	if err != nil {
		return []string{err.Error()}
	}
	return append(cell.disagree(found), told(found)...)
}

// told is wrong where a secret was.
func told(found core.Diagnosis) []string {
	for _, secret := range []string{matrixPassword, base64.StdEncoding.EncodeToString([]byte(matrixPassword)), base64.StdEncoding.EncodeToString([]byte("\x00postroom\x00" + matrixPassword))} {
		if strings.Contains(fmt.Sprintf("%+v", found), secret) {
			return []string{"the password is in it"}
		}
	}
	return nil
}

func (c cell) disagree(found core.Diagnosis) (wrong []string) {
	failed := ""
	for _, step := range found.Steps {
		switch {
		case failed == "ehlo" && (step.Step == "starttls" || step.Step == "tls"): // EHLO is said again after them
		case failed != "" && step.State != "skipped":
			wrong = append(wrong, fmt.Sprintf("%s is %s after %s failed", step.Step, step.State, failed))
		case failed == "" && step.State == "failed":
			failed = step.Step
			if step.Cause == nil || *step.Cause == "" || c.causes != "" && !slices.Contains(strings.Fields(c.causes), *step.Cause) {
				wrong = append(wrong, fmt.Sprintf("the cause is %s, not of %q: %+v", text(step.Cause), c.causes, step))
			}
			if len(step.Advice) < 20 {
				wrong = append(wrong, fmt.Sprintf("there is no advice: %+v", step))
			}
		case failed == "" && c.warns && step.Step == "tls" && (step.State != "warning" || step.Advice == ""):
			wrong = append(wrong, fmt.Sprintf("nothing is said of a certificate that is bad: %+v", step))
		}
	}
	if !slices.Contains(strings.Fields(c.failed), failed) && (c.failed != "" || failed != "") {
		wrong = append(wrong, fmt.Sprintf("%q failed, not %q: %+v", failed, c.failed, found.Steps))
	}
	if accepted := found.SentTo != ""; accepted != (c.failed == "") {
		wrong = append(wrong, fmt.Sprintf("sent to %q", found.SentTo))
	}
	return wrong
}

func text(cause *string) string {
	if cause == nil {
		return "none"
	}
	return *cause
}
