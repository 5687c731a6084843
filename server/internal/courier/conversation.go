package courier

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"postroom/server/internal/core"
)

// conversation is one mail's. Each step gives nil, or the outcome it ends with.
type conversation struct {
	courier *Courier
	to      core.Connection
	key     [sha256.Size]byte // of to in the pool, where there is one
	mail    Envelope
	notes   *notes
	session
	stop      func() bool
	reused    bool   // the session has carried a mail before
	keptToken string // the access token, where it was not fetched for this mail
	accepted  *core.Reply
}

func (c *Courier) conversation(to core.Connection, mail Envelope) *conversation {
	t := &conversation{courier: c, to: to, mail: mail, notes: newNotes(secretsOf(to), c.Observe)}
	if c.Pool != nil {
		t.key = c.keyOf(to)
	}
	return t
}

// hold bounds the whole of what is said, ends it, and takes the secrets out of how it ended; nil says that it came through.
func (t *conversation) hold(ctx context.Context, say func(context.Context) *core.Outcome) *core.Outcome {
	ctx, cancel := within(ctx, t.courier.Deadlines.Total)
	defer cancel()
	outcome := say(ctx)
	t.notes.finish(ctx)
	t.end(outcome)
	if outcome != nil {
		outcome.Detail = t.notes.secrets.hide(outcome.Detail)
		if outcome.Reply != nil {
			outcome.Reply.Text = t.notes.secrets.hide(outcome.Reply.Text)
		}
	}
	return outcome
}

// run carries the mail over that session, or one of its own where it is nil.
func (t *conversation) run(ctx context.Context, over *session) *core.Outcome {
	if t.reused = over != nil; t.reused {
		t.session = *over
		t.line.over = ctx
		t.watchOver(ctx)
		return t.transact(ctx)
	}
	if outcome := t.open(ctx); outcome != nil {
		return outcome
	}
	return t.transact(ctx)
}

// open begins a session, up to the point where a mail may be named.
func (t *conversation) open(ctx context.Context) *core.Outcome {
	t.session, t.keptToken = session{}, ""
	for _, step := range []func(context.Context) *core.Outcome{t.connect, t.greet, t.hello, t.startTLS, t.authenticate} {
		if outcome := step(ctx); outcome != nil {
			return outcome
		}
	}
	return nil
}

// watchOver has a context that ends break the conversation off at once.
func (t *conversation) watchOver(ctx context.Context) {
	conn := t.line.Conn
	t.stop = context.AfterFunc(ctx, func() { breakOff(conn) })
}

// outlived is whether a kept session turned out to be dead or leaving before the server could have had anything of the
// mail, so that the mail goes over a fresh one as if this had not been.
func (t *conversation) outlived(ctx context.Context, outcome *core.Outcome) bool {
	if !t.reused || outcome == nil || ctx.Err() != nil || !slices.Contains([]string{StepMailFrom, StepRcptTo, StepData}, outcome.Step) {
		return false
	}
	if outcome.Failure == nil {
		return outcome.Reply.Code == 421
	}
	return *outcome.Failure == FailureClosed || *outcome.Failure == FailureReset ||
		*outcome.Failure == FailureTimeout && outcome.Step == StepMailFrom // see Deadlines.Reused
}

// tokenWorn is whether the server refused an access token that was kept, so that a new one may do.
func (t *conversation) tokenWorn(ctx context.Context, outcome *core.Outcome) bool {
	return t.keptToken != "" && ctx.Err() == nil && outcome != nil && outcome.Step == StepAuth && outcome.Reply != nil && outcome.Reply.Code == 535
}

// check refuses what would break out of a command or reach a server without what was asked for.
func (t *conversation) check() *core.Outcome {
	for _, address := range []string{t.mail.From, t.mail.To, t.to.EnvelopeSender} {
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

// end keeps the session for the next mail where nothing odd has come of this one; else it leaves. A peer that went
// silent or broke off is not spoken to again. Nobody waits for any of it.
func (t *conversation) end(outcome *core.Outcome) {
	if t.line == nil {
		return
	}
	over := t.session
	unbroken := t.stop()
	pool, key, quit := t.courier.Pool, t.key, t.courier.Deadlines.Quit
	switch {
	case !unbroken, outcome != nil && outcome.Failure != nil && *outcome.Failure != FailureNotOffered:
		_ = over.line.Close()
	case pool != nil && (outcome == nil || unsaid(outcome)):
		pool.put(key, &over, quit)
	case pool == nil, outcome == nil, !aboutTheMail(outcome):
		pool.farewell(&over, quit)
	default:
		go func() {
			over.line.over = context.Background()
			over.line.begin(quit)
			if over.clear() != nil {
				_ = over.line.Close()
			} else if reply, err := over.line.ask("RSET"); err != nil || reply.Code != 250 {
				_ = over.line.Close()
			} else {
				pool.put(key, &over, quit)
			}
		}()
	}
}

// unsaid is whether a mail needs what the server does not offer, and so nothing was said of it.
func unsaid(outcome *core.Outcome) bool {
	return outcome.Failure != nil && *outcome.Failure == FailureNotOffered && outcome.Step == StepMailFrom
}

// aboutTheMail is whether a server refused the mail and not us, so that it takes another.
func aboutTheMail(outcome *core.Outcome) bool {
	return outcome.Reply != nil && outcome.Reply.Code/100 >= 4 && outcome.Reply.Code != 421 &&
		slices.Contains([]string{StepMailFrom, StepRcptTo, StepData, StepFinalDot}, outcome.Step)
}

// drop breaks the session off without a word.
func (t *conversation) drop() {
	t.stop()
	_ = t.line.Close()
}
