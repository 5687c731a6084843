package courier

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/courier/peer"
)

const step = 300 * time.Millisecond

var short = Deadlines{
	DNS: step, Connect: step, TLS: step, Greeting: step, Command: step, Data: step, Block: step, FinalDot: step,
	Quit: step, Total: 5 * time.Second,
}

var mail = Envelope{
	From: "noreply@example.com", To: "anna@example.com",
	Message: []byte("Subject: Hello\r\n\r\n.A line with a dot\r\nThe end\r\n"),
}

func to(p *peer.Peer) core.Connection {
	return core.Connection{Server: "127.0.0.1", Port: p.Port, Security: "none"}
}

func courier() *Courier { return &Courier{Deadlines: short, Name: "postroom.test"} }

func told(outcome core.Outcome) string {
	text := outcome.Step
	if outcome.Reply != nil {
		text += fmt.Sprintf(" %d", outcome.Reply.Code)
	}
	if outcome.Failure != nil {
		text += " " + *outcome.Failure
	}
	return text
}

func TestAMailArrivesAsItIs(t *testing.T) {
	p := peer.Start(t)
	outcome := courier().Send(t.Context(), to(p), mail)
	if told(outcome) != "final_dot 250" || outcome.Reply.Text != "2.0.0 Ok: queued as 1" {
		t.Fatalf("%+v", outcome)
	}
	got := p.Mails()
	if len(got) != 1 {
		t.Fatalf("%d mails", len(got))
	}
	want := peer.Mail{Helo: "postroom.test", From: mail.From, To: mail.To, Params: "BODY=8BITMIME", Data: string(mail.Message), At: got[0].At}
	if got[0] != want {
		t.Errorf("got  %+v\nwant %+v", got[0], want)
	}
	eventually(t, func() bool { c := p.Commands(); return c[len(c)-1] == "QUIT" })
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for range 100 {
		if holds() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("does not come")
}

// Every fault at every step gives that step's facts within that step's deadline (R2, R3, R5, R9).
func TestFaults(t *testing.T) {
	steps := []struct{ at, name string }{
		{peer.Greeting, StepGreeting}, {peer.EHLO, StepEHLO}, {peer.AUTH, StepAuth}, {peer.MAIL, StepMailFrom},
		{peer.RCPT, StepRcptTo}, {peer.DATA, StepData}, {peer.Body, StepFinalDot}, {peer.Dot, StepFinalDot},
	}
	faults := []struct {
		name string
		do   peer.Action
		want string
	}{
		{"stall", peer.Stall(), FailureTimeout},
		{"close", peer.Close(), FailureClosed},
		{"450", peer.Say("450 4.2.1 Busy"), "450"},
		{"550", peer.Say("550-5.7.1 No,\n550 5.7.1 and no again"), "550"},
		{"421 and close", peer.SayAndClose("421 4.3.2 Going down"), "421"},
		{"garbage", peer.SayAndClose("\x16\x03\x01 what?"), FailureProtocol},
		{"a wrong code", peer.SayAndClose("299 2.0.0 Who knows"), "299"},
		{"a code of no class", peer.SayAndClose("999 hm"), FailureProtocol},
		{"a drip", peer.Drip(strings.Repeat("2", 4000), 20*time.Millisecond), FailureTimeout},
		{"a reply without end", func(s *peer.Session) bool {
			for {
				if _, err := s.Write([]byte("250-" + strings.Repeat("x", 4000) + "\r\n")); err != nil {
					return false
				}
			}
		}, FailureProtocol},
	}
	for _, at := range steps {
		for _, fault := range faults {
			t.Run(at.name+" "+at.at+" "+fault.name, func(t *testing.T) {
				t.Parallel()
				p := peer.Start(t, func(p *peer.Peer) { p.Extensions = append(p.Extensions, "AUTH PLAIN LOGIN") })
				p.At(at.at, fault.do)
				if at.at == peer.EHLO {
					p.At("HELO", fault.do)
				}
				connection := to(p)
				connection.Auth, connection.Username, connection.Password = []string{"plain", "login"}, "user", "password"
				began := time.Now()
				outcome := courier().Send(t.Context(), connection, mail)
				if took := time.Since(began); took > 3*step+time.Second {
					t.Errorf("took %v", took)
				}
				want := at.name + " " + fault.want
				if got := told(outcome); got != want && !(at.at == peer.Body && fault.want == "299" && got == "final_dot protocol") {
					// A 2xx that came although the dot could not be sent is none.
					t.Errorf("%s, want %s (%s)", got, want, outcome.Detail)
				}
				if outcome.Reply != nil && outcome.Reply.Code == 550 && !strings.Contains(outcome.Reply.Text, "and no again") {
					t.Errorf("the reply's second line is lost: %q", outcome.Reply.Text)
				}
				if accepted := p.Mails(); len(accepted) > 0 {
					t.Errorf("%d mails were taken", len(accepted))
				}
			})
		}
	}
}

func TestAClosedConnectionAfterTheDotIsNotAnAcceptance(t *testing.T) {
	for name, do := range map[string]peer.Action{"closed": peer.Keep(peer.Close()), "reset": peer.Keep(peer.Reset()), "timeout": peer.Keep(peer.Stall())} {
		p := peer.Start(t)
		p.At(peer.Dot, do)
		if got := told(courier().Send(t.Context(), to(p), mail)); got != "final_dot "+name {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestQuitNeverTurnsSuccessIntoFailure(t *testing.T) {
	for name, do := range map[string]peer.Action{
		"stall": peer.Stall(), "close": peer.Close(), "reset": peer.Reset(), "refusal": peer.Say("550 5.0.0 Stay"), "garbage": peer.Say("?"),
	} {
		p := peer.Start(t)
		p.At(peer.QUIT, do)
		began := time.Now()
		if got := told(courier().Send(t.Context(), to(p), mail)); got != "final_dot 250" {
			t.Errorf("%s: %s", name, got)
		}
		if took := time.Since(began); took > step {
			t.Errorf("%s: waited %v", name, took)
		}
	}
}

func TestTheWholeIsBounded(t *testing.T) {
	p := peer.Start(t)
	for _, at := range []string{peer.EHLO, peer.MAIL, peer.RCPT, peer.DATA} {
		usual := map[string]string{peer.EHLO: "250 peer", peer.MAIL: "250 ok", peer.RCPT: "250 ok", peer.DATA: "250 ok"}[at]
		p.At(at, peer.After(200*time.Millisecond, peer.Say(usual)))
	}
	hasty := courier()
	hasty.Deadlines.Total = 500 * time.Millisecond
	began := time.Now()
	outcome := hasty.Send(t.Context(), to(p), mail)
	if took := time.Since(began); told(outcome) != "rcpt_to timeout" || took > time.Second {
		t.Errorf("%s after %v", told(outcome), took)
	}
}

func TestItCanBeBrokenOff(t *testing.T) {
	p := peer.Start(t)
	p.At(peer.RCPT, peer.Stall())
	patient := &Courier{Deadlines: ForQueue, Name: "x"}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	began := time.Now()
	outcome := patient.Send(ctx, to(p), mail)
	if told(outcome) != "rcpt_to other" || time.Since(began) > 2*time.Second {
		t.Errorf("%s after %v", told(outcome), time.Since(began))
	}
}

func TestReachingAServer(t *testing.T) {
	p := peer.Start(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := free.Addr().(*net.TCPAddr).Port
	_ = free.Close()
	resolver := func(answer func(ctx context.Context) (net.Conn, error)) *net.Resolver {
		return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return answer(ctx) }}
	}
	for name, c := range map[string]struct {
		change func(*Courier, *core.Connection)
		want   string
	}{
		"refused":     {func(_ *Courier, c *core.Connection) { c.Port = closed }, "connect refused"},
		"not set":     {func(_ *Courier, c *core.Connection) { c.Server = "" }, "connect other"},
		"no port":     {func(_ *Courier, c *core.Connection) { c.Port = 0 }, "connect other"},
		"no security": {func(_ *Courier, c *core.Connection) { c.Security = "" }, "connect other"},
		"no name server": {func(k *Courier, c *core.Connection) {
			c.Server = "mail.example.com"
			k.Resolver = resolver(func(context.Context) (net.Conn, error) { return nil, errors.New("down") })
		}, "dns dns"},
		"a silent name server": {func(k *Courier, c *core.Connection) {
			c.Server = "mail.example.com"
			k.Resolver = resolver(func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() })
		}, "dns timeout"},
		"a silent host": {func(k *Courier, _ *core.Connection) {
			k.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
			}
		}, "connect timeout"},
	} {
		k, connection := courier(), to(p)
		c.change(k, &connection)
		if got := told(k.Send(t.Context(), connection, mail)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// Every address of a host is tried (R17).
func TestEveryAddressIsTried(t *testing.T) {
	p := peer.Start(t)
	k := courier()
	var tried []string
	k.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		tried = append(tried, address)
		if len(tried) == 1 {
			return nil, &net.OpError{Op: "dial", Err: errors.New("no route")}
		}
		return (&net.Dialer{}).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", p.Port))
	}
	talk := &conversation{courier: k, to: to(p), mail: mail, notes: newNotes(&secrets{}, nil)}
	last := core.Outcome{}
	for _, address := range []string{"192.0.2.1", "127.0.0.1"} {
		outcome := talk.connectTo(t.Context(), address)
		if outcome == nil {
			break
		}
		last = *outcome
	}
	if len(tried) != 2 || talk.line == nil {
		t.Fatalf("tried %v; %+v", tried, last)
	}
	talk.end(nil)
	if addresses, err := net.DefaultResolver.LookupHost(t.Context(), "localhost"); err == nil && len(addresses) > 0 {
		tried = nil
		connection := to(p)
		connection.Server = "localhost"
		outcome := k.Send(t.Context(), connection, mail)
		if len(addresses) == 1 && told(outcome) != "connect other" || len(addresses) > 1 && told(outcome) != "final_dot 250" {
			t.Errorf("localhost is %v: %s", addresses, told(outcome))
		}
	}
}

func TestUnicode(t *testing.T) {
	for name, c := range map[string]struct {
		mail   Envelope
		offers []string
		want   string
		params string
	}{
		"needed and offered":  {Envelope{"noreply@example.com", "änna@example.com", mail.Message}, []string{"SMTPUTF8", "8BITMIME"}, "final_dot 250", "BODY=8BITMIME SMTPUTF8"},
		"needed, not offered": {Envelope{"noreply@example.com", "änna@example.com", mail.Message}, []string{"8BITMIME"}, "mail_from not_offered", ""},
		"offered, not needed": {mail, []string{"SMTPUTF8"}, "final_dot 250", ""},
		"8-bit, not offered":  {Envelope{mail.From, mail.To, []byte("Subject: x\r\n\r\nä\r\n")}, []string{"PIPELINING"}, "mail_from not_offered", ""},
		"an 8-bit body":       {Envelope{mail.From, mail.To, []byte("Subject: x\r\n\r\nä\r\n")}, []string{"8BITMIME", "SMTPUTF8"}, "final_dot 250", "BODY=8BITMIME"},
	} {
		p := peer.Start(t, func(p *peer.Peer) { p.Extensions = c.offers })
		outcome := courier().Send(t.Context(), to(p), c.mail)
		if got := told(outcome); got != c.want {
			t.Errorf("%s: %s, want %s (%s)", name, got, c.want, outcome.Detail)
		}
		if got := p.Mails(); len(got) == 1 && got[0].Params != c.params {
			t.Errorf("%s: MAIL … %s", name, got[0].Params)
		}
	}
}

func TestAddressesCanNotBreakOut(t *testing.T) {
	p := peer.Start(t)
	for _, address := range []string{"a@b>\r\nRCPT TO:<c@d", "a\nb@c", "a@b\x00", "a@b> SIZE=1", "<a@b"} {
		for _, envelope := range []Envelope{{From: address, To: mail.To, Message: mail.Message}, {From: mail.From, To: address, Message: mail.Message}} {
			if got := told(courier().Send(t.Context(), to(p), envelope)); got != "mail_from protocol" {
				t.Errorf("%q: %s", address, got)
			}
		}
	}
	if commands := p.Commands(); len(commands) > 0 {
		t.Errorf("%v was sent", commands)
	}
}

func TestEHLOSaysANameThatResolvesOrAnAddress(t *testing.T) {
	for address, want := range map[string]string{"127.0.0.1:5": "[127.0.0.1]", "[2001:db8::1]:5": "[IPv6:2001:db8::1]"} {
		local, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		got := localName(t.Context(), local)
		if got != want && hostName(t.Context()) == "" {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}

// A mail of many blocks to a peer that reads slowly arrives whole; to one that stops reading it is bounded.
func TestABigBody(t *testing.T) {
	body := append([]byte("Subject: big\r\n\r\n"), strings.Repeat(strings.Repeat("x", 70)+"\r\n", 200_000)...)
	p := peer.Start(t)
	patient := courier() // 14 MB take a busy machine with the race detector on longer than the other tests' 5 s
	patient.Deadlines.Total, patient.Deadlines.Block, patient.Deadlines.FinalDot = time.Minute, 20*time.Second, 20*time.Second
	if got := told(patient.Send(t.Context(), to(p), Envelope{mail.From, mail.To, body})); got != "final_dot 250" {
		t.Fatal(got)
	}
	if got := p.Mails(); len(got[0].Data) != len(body) {
		t.Errorf("%d of %d octets", len(got[0].Data), len(body))
	}
	p.At(peer.Body, func(*peer.Session) bool { time.Sleep(2 * time.Second); return false })
	if got := told(courier().Send(t.Context(), to(p), Envelope{mail.From, mail.To, body})); got != "body timeout" {
		t.Error(got)
	}
}
