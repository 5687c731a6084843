package causes

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/courier"
	"postroom/server/internal/courier/peer"
	"postroom/server/internal/engine"
)

// password is in every connection, and in no diagnosis.
const password = "s3cret-of-the-fixture"

// patience is how long a step may last that does not stall: enough for a machine that is busy with all the others.
const patience, impatience = 20 * time.Second, time.Second

// TestEveryCauseIsTold plays each fixture, and asks what was the matter.
func TestEveryCauseIsTold(t *testing.T) {
	e := openCore(t)
	for _, f := range fixtures(t) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			to, facts := play(t, f)
			diagnosis := diagnose(t, e, f, to, facts)
			check(t, f, diagnosis)
			if strings.Contains(fmt.Sprintf("%+v %+v", facts, diagnosis), password) {
				t.Error("the password is in it")
			}
		})
	}
}

func check(t *testing.T, f *fixture, diagnosis core.Diagnosis) {
	t.Helper()
	var found *core.Step
	for i, step := range diagnosis.Steps {
		if step.Step == f.Expect.Step {
			found = &diagnosis.Steps[i]
		}
	}
	cause := ""
	if found != nil && found.Cause != nil {
		cause = *found.Cause
	}
	if found == nil || found.State != f.Expect.State || cause != f.Cause {
		t.Fatalf("want %s at %s, %s; got\n%s", f.Cause, f.Expect.Step, f.Expect.State, shown(diagnosis))
	}
	for _, words := range f.Expect.Advice {
		if !strings.Contains(found.Advice, words) {
			t.Errorf("%q is not in the advice: %s", words, found.Advice)
		}
	}
	if len(f.Expect.Advice) == 0 {
		t.Error("nothing is expected of the advice")
	}
	if strings.ContainsAny(found.Advice, "{}") || !strings.HasSuffix(found.Advice, ".") || len([]rune(found.Advice)) > 400 {
		t.Errorf("not plain: %s", found.Advice)
	}
	for _, step := range diagnosis.Steps {
		if (step.State == "failed") != (step.Step == f.Expect.Step && f.Expect.State == "failed") {
			t.Errorf("%s is %s", step.Step, step.State)
		}
	}
	if (diagnosis.SentTo != "") != (f.Expect.State != "failed") {
		t.Errorf("sent to %q", diagnosis.SentTo)
	}
}

func shown(diagnosis core.Diagnosis) string {
	var out strings.Builder
	for _, step := range diagnosis.Steps {
		cause := "-"
		if step.Cause != nil {
			cause = *step.Cause
		}
		fmt.Fprintf(&out, "%s %s [%s] %s | %s\n", step.Step, step.State, cause, step.Said, step.Advice)
	}
	return out.String()
}

// play lets the courier speak to the server that the fixture describes, and gives the facts.
func play(t *testing.T, f *fixture) (core.Connection, core.Facts) {
	t.Helper()
	if len(f.Addresses) == 0 {
		f.Addresses = []string{"127.0.0.1"}
		if ip := net.ParseIP(f.Connection.Server); ip != nil {
			f.Addresses = []string{f.Connection.Server}
		}
	}
	trusted := peer.NewAuthority(t, "Postroom Test Root")
	p := served(t, trusted, f)
	to := settings(t, trusted, f)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	var last core.Facts
	k := &courier.Courier{
		Deadlines: deadlines(f), Name: "postroom.example.com", Resolver: nameServer(t, f), DialContext: dialer(t, f, p.Port),
		Observe: func(facts core.Facts) {
			mu.Lock()
			defer mu.Unlock()
			last = facts
			if f.Cancel && len(facts.Events) > 0 && facts.Events[len(facts.Events)-1].Step == courier.StepConnect {
				time.AfterFunc(100*time.Millisecond, cancel)
			}
		},
	}
	from := "noreply@example.com"
	if f.From != nil {
		from = *f.From
	}
	k.Send(ctx, to, courier.Envelope{From: from, To: "anna@example.com", Message: message(f)})
	mu.Lock()
	defer mu.Unlock()
	if !last.Finished {
		t.Fatal("the facts do not end")
	}
	return to, last
}

func message(f *fixture) []byte {
	text := f.Message
	if text == "" {
		text = "From: noreply@example.com\r\nTo: anna@example.com\r\nSubject: A test\r\n\r\nHello\r\n"
	}
	if more := f.Octets - len(text); more > 0 {
		text += strings.Repeat(strings.Repeat("x", 70)+"\r\n", more/72+1)
	}
	return []byte(text)
}

func served(t *testing.T, trusted *peer.Authority, f *fixture) *peer.Peer {
	t.Helper()
	return peer.Start(t, func(p *peer.Peer) {
		p.TLS, p.Implicit = certificates(t, trusted, f.Peer.TLS, f.Connection.Server), f.implicit()
		p.Extensions = f.Peer.Extensions
		if p.Extensions == nil {
			p.Extensions = []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "AUTH PLAIN LOGIN"}
			if p.TLS != nil && !p.Implicit {
				p.Extensions = append(p.Extensions, "STARTTLS")
			}
		}
		for step, is := range f.Peer.At {
			p.At(step, is.do(t))
		}
	})
}

func settings(t *testing.T, trusted *peer.Authority, f *fixture) core.Connection {
	t.Helper()
	c := f.Connection
	to := core.Connection{
		Name: "primary", Server: c.Server, Port: c.Port, Security: c.Security, VerifyCertificate: c.Verify == nil || *c.Verify,
		MinTLS: c.MinTLS, CA: trusted.PEM, Pin: c.Pin, Auth: c.Auth, Username: c.Username, Password: c.Password,
		EHLOName: c.EHLOName, EnvelopeSender: c.Sender,
	}
	if len(c.Auth) > 0 && c.Auth[0] != "xoauth2" && c.Password == "" {
		to.Password = password
	}
	if c.Password == "none" {
		to.Password = ""
	}
	to.OAuth = f.OAuth.start(t)
	return to
}

func deadlines(f *fixture) courier.Deadlines {
	d := courier.Deadlines{
		DNS: patience, Connect: patience, TLS: patience, Greeting: patience, Command: patience, Data: patience, Block: patience,
		FinalDot: patience, Quit: patience, Total: 2 * patience,
	}
	if f.TotalMS > 0 {
		d.Total = time.Duration(f.TotalMS) * time.Millisecond
		return d
	}
	if f.Cancel || !f.stalls() {
		return d
	}
	// Only the step that stalls is bounded tightly.
	switch f.Expect.Step {
	case "dns":
		d.DNS = impatience
	case "tcp":
		d.Connect = impatience
	case "tls":
		d.TLS = impatience
	case "greeting":
		d.Greeting = impatience
	case "data":
		d.Data, d.Block = impatience, impatience
	case "queued":
		d.FinalDot = impatience
	default:
		d.Command = impatience
	}
	return d
}

func diagnose(t *testing.T, e *engine.Engine, f *fixture, to core.Connection, facts core.Facts) core.Diagnosis {
	t.Helper()
	args := core.DiagnoseArgs{Connection: to.Shown(), Facts: facts, EnvelopeFrom: "noreply@example.com", To: "anna@example.com"}
	if f.From != nil {
		args.EnvelopeFrom = *f.From
	}
	var diagnosis core.Diagnosis
	if err := e.Call(t.Context(), core.OpDiagnose, time.Now(), args, &diagnosis); err != nil {
		t.Fatal(err)
	}
	return diagnosis
}

func openCore(t *testing.T) *engine.Engine {
	t.Helper()
	wasm, err := os.ReadFile(filepath.Join(root, ".build", "core.wasm"))
	if err != nil {
		t.Fatalf("the core is not built (run: make wasm): %v", err)
	}
	e, err := engine.New(context.Background(), engine.Options{Wasm: wasm, CacheDir: filepath.Join(root, ".build", "wazero")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(context.Background()) })
	return e
}
