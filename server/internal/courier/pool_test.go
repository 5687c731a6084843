package courier

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"postroom/server/internal/courier/peer"
)

// pooled is a courier that keeps connections, and what its mails got.
func pooled(t *testing.T) (*Courier, func() string) {
	t.Helper()
	var mu sync.Mutex
	opened, reused := 0, 0
	k := courier()
	k.Deadlines.Reused = step
	k.Pool = &Pool{Count: func(kept bool) {
		mu.Lock()
		defer mu.Unlock()
		if kept {
			reused++
		} else {
			opened++
		}
	}}
	t.Cleanup(k.Pool.Close)
	return k, func() string {
		mu.Lock()
		defer mu.Unlock()
		return fmt.Sprintf("%d opened, %d reused", opened, reused)
	}
}

func (p *Pool) idling() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, of := range p.kept {
		n += len(of)
	}
	return n
}

func said(p *peer.Peer, verb string) int {
	n := 0
	for _, command := range p.Commands() {
		if strings.HasPrefix(command, verb) {
			n++
		}
	}
	return n
}

func TestAConnectionCarriesAHundredMails(t *testing.T) {
	p := peer.Start(t)
	k, got := pooled(t)
	for i := range keptMails + 1 {
		if outcome := k.Send(t.Context(), to(p), mail); told(outcome) != "final_dot 250" {
			t.Fatalf("mail %d: %+v", i, outcome)
		}
	}
	if got() != "2 opened, 99 reused" || said(p, "EHLO") != 2 || len(p.Mails()) != keptMails+1 {
		t.Errorf("%s, %d EHLO", got(), said(p, "EHLO"))
	}
	eventually(t, func() bool { return said(p, "QUIT") == 1 })
	k.Pool.Close()
	if said(p, "QUIT") != 2 {
		t.Error("no QUIT at the end")
	}
	if told(k.Send(t.Context(), to(p), mail)) != "final_dot 250" || k.Pool.idling() != 0 {
		t.Error("a closed pool keeps something, or does not carry")
	}
}

func TestAnIdleConnectionEnds(t *testing.T) {
	p := peer.Start(t)
	k, _ := pooled(t)
	k.Pool.idle = 100 * time.Millisecond
	k.Send(t.Context(), to(p), mail)
	eventually(t, func() bool { return said(p, "QUIT") == 1 && k.Pool.idling() == 0 })
	k.Pool.idle = 0
	k.Send(t.Context(), to(p), mail)
	k.Pool.EndIdle()
	eventually(t, func() bool { return said(p, "QUIT") == 2 && k.Pool.idling() == 0 })
}

// Connections differ in all that matters: nobody's mail goes by another's login.
func TestAnotherConnectionIsAnother(t *testing.T) {
	p := peer.Start(t, func(p *peer.Peer) { offer(p, "AUTH PLAIN") })
	k, got := pooled(t)
	connection := to(p)
	connection.Auth, connection.Username = []string{"plain"}, "user"
	for _, password := range []string{"first password", "second password", "first password"} {
		connection.Password = password
		k.Send(t.Context(), connection, mail)
		if mails := p.Mails(); mails[len(mails)-1].Password != password {
			t.Errorf("%+v", mails)
		}
	}
	if got() != "2 opened, 1 reused" {
		t.Error(got())
	}
}

// A kept connection that has died, or dies before the server could have the mail, costs no attempt; one that breaks
// later is told as it is.
func TestADeadConnectionIsReplaced(t *testing.T) {
	once := func(p *peer.Peer, at string, do peer.Action) {
		p.At(at, func(s *peer.Session) bool { p.At(at, nil); return do(s) })
	}
	for name, c := range map[string]struct {
		at   string
		do   peer.Action
		want string
	}{
		"closed at MAIL":       {peer.MAIL, peer.Close(), "final_dot 250"},
		"reset at MAIL":        {peer.MAIL, peer.Reset(), "final_dot 250"},
		"421 at MAIL":          {peer.MAIL, peer.SayAndClose("421 4.4.2 Idle for too long"), "final_dot 250"},
		"silent at MAIL":       {peer.MAIL, peer.Stall(), "final_dot 250"},
		"closed at RCPT":       {peer.RCPT, peer.Close(), "final_dot 250"},
		"421 at DATA":          {peer.DATA, peer.SayAndClose("421 4.3.2 Going down"), "final_dot 250"},
		"silent at RCPT":       {peer.RCPT, peer.Stall(), "rcpt_to timeout"},
		"garbage at MAIL":      {peer.MAIL, peer.SayAndClose("what?"), "mail_from protocol"},
		"closed after the dot": {peer.Dot, peer.Close(), "final_dot closed"},
		"450 at RCPT":          {peer.RCPT, peer.Say("450 4.2.1 Busy"), "rcpt_to 450"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := peer.Start(t)
			k, _ := pooled(t)
			if got := told(k.Send(t.Context(), to(p), mail)); got != "final_dot 250" {
				t.Fatal(got)
			}
			once(p, c.at, c.do)
			outcome := k.Send(t.Context(), to(p), mail)
			if got := told(outcome); got != c.want {
				t.Errorf("%s, want %s (%s)", got, c.want, outcome.Detail)
			}
			if got := told(k.Send(t.Context(), to(p), mail)); got != "final_dot 250" {
				t.Errorf("the next: %s", got)
			}
		})
	}
}

// A server that closes what idles is noticed at once, and one that says something unasked is not trusted further.
func TestAnIdleServerThatLeavesIsNoticed(t *testing.T) {
	for name, then := range map[string]peer.Action{
		"closes": peer.Close(), "resets": peer.Reset(),
		"says 421":  peer.SayAndClose("421 4.4.2 Idle"),
		"says more": func(s *peer.Session) bool { return peer.Say("250 2.0.0 And another")(s) },
	} {
		p := peer.Start(t)
		k, got := pooled(t)
		p.At(peer.Dot, func(s *peer.Session) bool {
			p.At(peer.Dot, nil)
			return peer.Keep(peer.Say("250 2.0.0 Ok"))(s) && peer.After(100*time.Millisecond, then)(s)
		})
		if outcome := k.Send(t.Context(), to(p), mail); told(outcome) != "final_dot 250" {
			t.Fatalf("%s: %+v", name, outcome)
		}
		eventually(t, func() bool { return k.Pool.idling() == 0 })
		if outcome := k.Send(t.Context(), to(p), mail); told(outcome) != "final_dot 250" || got() != "2 opened, 0 reused" {
			t.Errorf("%s: %+v, %s", name, outcome, got())
		}
	}
}

// A refused mail leaves the connection clean for the next, also where DATA was sent before its recipient was refused.
func TestARefusedMailLeavesACleanConnection(t *testing.T) {
	for name, c := range map[string]struct {
		offers []string
		at     map[string]peer.Action
		want   string
	}{
		"RCPT":                    {[]string{"8BITMIME"}, map[string]peer.Action{peer.RCPT: peer.Say("550 5.1.1 No such")}, "rcpt_to 550"},
		"RCPT, pipelined":         {[]string{"PIPELINING"}, map[string]peer.Action{peer.RCPT: peer.Say("550 5.1.1 No such")}, "rcpt_to 550"},
		"RCPT, and DATA is taken": {[]string{"PIPELINING"}, map[string]peer.Action{peer.RCPT: peer.Say("550 5.1.1 No such"), peer.DATA: dataForNobody}, "rcpt_to 550"},
		"MAIL, pipelined":         {[]string{"PIPELINING"}, map[string]peer.Action{peer.MAIL: peer.Say("553 5.7.1 Not yours")}, "mail_from 553"},
		"the whole":               {[]string{"PIPELINING"}, map[string]peer.Action{peer.Dot: peer.Say("554 5.7.1 Spam")}, "final_dot 554"},
	} {
		t.Run(name, func(t *testing.T) {
			p := peer.Start(t, func(p *peer.Peer) { p.Extensions = c.offers })
			k, got := pooled(t)
			for at, do := range c.at {
				p.At(at, do)
			}
			if outcome := k.Send(t.Context(), to(p), mail); told(outcome) != c.want {
				t.Fatalf("%+v", outcome)
			}
			eventually(t, func() bool { return k.Pool.idling() == 1 })
			for at := range c.at {
				p.At(at, nil)
			}
			if outcome := k.Send(t.Context(), to(p), mail); told(outcome) != "final_dot 250" || got() != "1 opened, 1 reused" {
				t.Errorf("%+v, %s", outcome, got())
			}
			if mails := p.Mails(); len(mails) != 1 || mails[0].Data != string(mail.Message) {
				t.Errorf("%+v", mails)
			}
		})
	}
}

// dataForNobody is a server that takes DATA although it has refused every recipient, and refuses the mail then.
func dataForNobody(s *peer.Session) bool {
	return peer.Say("354 Go on")(s) && s.Next() == "." && peer.Say("554 5.5.1 No valid recipients")(s)
}

// Many at once share what there is; none gets another's connection meanwhile.
func TestManyAtOnce(t *testing.T) {
	p := peer.Start(t)
	k, _ := pooled(t)
	k.Deadlines.Total, k.Deadlines.Command, k.Deadlines.Connect, k.Deadlines.FinalDot = time.Minute, 20*time.Second, 20*time.Second, 20*time.Second
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 40 {
				own := mail
				own.To = fmt.Sprintf("person-%d-%d@example.com", i, j)
				own.Message = fmt.Appendf(nil, "Subject: %s\r\n\r\nx\r\n", own.To)
				if outcome := k.Send(context.Background(), to(p), own); told(outcome) != "final_dot 250" {
					t.Errorf("%+v", outcome)
				}
			}
		})
	}
	all.Wait()
	if k.Pool.idling() > 8 {
		t.Errorf("%d are kept", k.Pool.idling())
	}
	seen := map[string]bool{}
	for _, taken := range p.Mails() {
		if seen[taken.To] || taken.Data != "Subject: "+taken.To+"\r\n\r\nx\r\n" {
			t.Errorf("%+v", taken)
		}
		seen[taken.To] = true
	}
	if len(seen) != 320 {
		t.Errorf("%d mails", len(seen))
	}
}

func TestWhatIsOfferedIsUsed(t *testing.T) {
	message := []byte("Subject: x\r\nMessage-ID: <a+b@example.com>\r\n\r\nä\r\n")
	p := peer.Start(t, func(p *peer.Peer) { p.Extensions = []string{"PIPELINING", "SIZE 1000", "8BITMIME", "SMTPUTF8", "DSN"} })
	connection := to(p)
	connection.EHLOName, connection.EnvelopeSender = "mail.example.org", "bounces@example.org"
	if outcome := courier().Send(t.Context(), connection, Envelope{mail.From, mail.To, message}); told(outcome) != "final_dot 250" {
		t.Fatalf("%+v", outcome)
	}
	want := fmt.Sprintf("SIZE=%d BODY=8BITMIME RET=HDRS ENVID=a+2Bb@example.com", len(message))
	if got := p.Mails()[0]; got.Params != want || got.From != "bounces@example.org" || got.Helo != "mail.example.org" {
		t.Errorf("%+v", got)
	}
	if said(p, "RCPT TO:<anna@example.com> NOTIFY=FAILURE") != 1 {
		t.Error(p.Commands())
	}
	// One that is too large fails before anything of it is sent.
	outcome := courier().Send(t.Context(), connection, Envelope{mail.From, mail.To, append(message, strings.Repeat("x", 1000)...)})
	if told(outcome) != "mail_from not_offered" || !strings.Contains(outcome.Detail, "takes 1000 at most") || said(p, "MAIL") != 1 {
		t.Errorf("%+v", outcome)
	}
	connection.EHLOName = "mail.example.org\r\nMAIL"
	if outcome := courier().Send(t.Context(), connection, mail); told(outcome) != "ehlo other" {
		t.Errorf("%+v", outcome)
	}
}
