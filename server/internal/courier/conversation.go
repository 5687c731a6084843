package courier

import (
	"context"
	"slices"
	"strings"
	"time"

	"postroom/server/internal/core"
)

// conversation is one connection and the one mail that goes over it. Each step gives nil, or the outcome it ends with.
type conversation struct {
	courier    *Courier
	to         core.Connection
	mail       Envelope
	notes      *notes
	line       *line
	extensions map[string]string // of the newest EHLO reply; nil after HELO
	stop       func() bool
	owed       int // replies to commands that were sent in one go and are not read yet, DATA's the last
	accepted   *core.Reply
}

func (t *conversation) run(ctx context.Context) *core.Outcome {
	for _, step := range []func(context.Context) *core.Outcome{
		t.check, t.connect, t.greet, t.hello, t.startTLS, t.authenticate, t.transact,
	} {
		if outcome := step(ctx); outcome != nil {
			return outcome
		}
	}
	return nil
}

// check refuses what would break out of a command or reach a server without what was asked for.
func (t *conversation) check(context.Context) *core.Outcome {
	for _, address := range []string{t.mail.From, t.mail.To} {
		if strings.ContainsAny(address, "\r\n\x00<> ") {
			return t.fail(failed(StepMailFrom, FailureProtocol, "an address has a control character, a space or a bracket in it"))
		}
	}
	if t.mail.To == "" {
		return t.fail(failed(StepRcptTo, FailureProtocol, "there is no recipient"))
	}
	if t.to.Server == "" || t.to.Port <= 0 || t.to.Port > 65535 {
		return t.fail(failed(StepConnect, FailureOther, "no server and port are set"))
	}
	if !slices.Contains([]string{"none", "starttls", "tls"}, t.to.Security) {
		return t.fail(failed(StepConnect, FailureOther, "the connection security is none of none, starttls and tls"))
	}
	if strings.ContainsFunc(t.to.EHLOName, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return t.fail(failed(StepEHLO, FailureOther, "the EHLO name has a space or a character that no host name has"))
	}
	return nil
}

// begin starts a step's time and its deadline.
func (t *conversation) begin(limit time.Duration) {
	t.notes.begin()
	t.line.begin(limit)
}

// settle notes how a step ended, and gives nil where that is by the reply that goes on.
func (t *conversation) settle(ctx context.Context, step string, reply *core.Reply, err error, goesOn ...int) *core.Outcome {
	switch {
	case err != nil:
		return t.fail(broken(ctx, step, err))
	case slices.Contains(goesOn, reply.Code):
		t.notes.event(step, core.Outcome{Reply: reply}, "")
		return nil
	}
	return t.fail(replied(step, reply))
}

// fail notes the outcome that the conversation ends with.
func (t *conversation) fail(outcome *core.Outcome) *core.Outcome {
	t.notes.event(outcome.Step, *outcome, "")
	return outcome
}

// end leaves the server as RFC 5321 (4.1.1.10) asks: QUIT, and its reply. That changes nothing about what is known, so
// nobody waits for it. A peer that went silent or broke off is not spoken to again.
func (t *conversation) end(outcome *core.Outcome) {
	if t.line == nil {
		return
	}
	t.stop()
	if outcome != nil && outcome.Failure != nil && *outcome.Failure != FailureNotOffered {
		_ = t.line.Close()
		return
	}
	go func() {
		t.line.over = context.Background()
		t.line.begin(t.courier.Deadlines.Quit)
		if t.clear() == nil {
			_, _ = t.line.ask("QUIT")
		}
		_ = t.line.Close()
	}()
}

// clear reads what the server still owes; where it takes DATA although nobody is to get the mail, it gets a lone dot
// (RFC 2920, 3.1).
func (t *conversation) clear() error {
	for t.owed > 0 {
		reply, err := t.line.reply()
		if err != nil {
			return err
		}
		if t.owed--; t.owed == 0 && reply.Code == 354 {
			if _, err := t.line.ask("."); err != nil {
				return err
			}
		}
	}
	return nil
}
