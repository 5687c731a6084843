// Package courier carries one mail to one SMTP server (RFC 5321) and reports facts: how far it came and what the
// peer said. It never says what that means or when to try again; that is the core's.
package courier

import (
	"context"
	"net"
	"time"

	"postroom/server/internal/core"
)

// Steps of a conversation, as wasm/README.md names them.
const (
	StepDNS      = "dns"
	StepConnect  = "connect"
	StepTLS      = "tls"
	StepGreeting = "greeting"
	StepEHLO     = "ehlo"
	StepStartTLS = "starttls"
	StepAuth     = "auth"
	StepMailFrom = "mail_from"
	StepRcptTo   = "rcpt_to"
	StepData     = "data"
	StepBody     = "body"
	StepFinalDot = "final_dot"

	// StepOAuth is of facts only: the access token. In an outcome it is StepAuth.
	StepOAuth = "oauth"
)

// Failures where the peer gave no reply, as wasm/README.md names them.
const (
	FailureTimeout     = "timeout"
	FailureRefused     = "refused"
	FailureUnreachable = "unreachable"
	FailureReset       = "reset"
	FailureClosed      = "closed"
	FailureDNS         = "dns"
	FailureCertificate = "certificate"
	FailureTLS         = "tls"
	FailureNotOffered  = "not_offered"
	FailureProtocol    = "protocol"
	FailureOther       = "other"

	FailureOAuthRefused     = "oauth_refused"
	FailureOAuthUnreachable = "oauth_unreachable"
)

// Deadlines bound each step of a conversation, and all of it. Zero is no bound.
type Deadlines struct {
	DNS      time.Duration
	Connect  time.Duration // for each address of the host
	TLS      time.Duration // a handshake
	Greeting time.Duration
	OAuth    time.Duration // an access token
	Reused   time.Duration // the first reply over a kept connection, after which a fresh one is opened
	Command  time.Duration // EHLO, STARTTLS, AUTH, MAIL, RCPT
	Data     time.Duration // DATA until its 354
	Block    time.Duration // each block of the body written
	FinalDot time.Duration // the final dot until its reply
	Quit     time.Duration
	Total    time.Duration
}

// ForQueue are RFC 5321's (4.5.3.2), with a bound over all of it that a slow peer can't stretch.
var ForQueue = Deadlines{
	DNS: 30 * time.Second, Connect: 30 * time.Second, TLS: time.Minute, Greeting: 5 * time.Minute,
	OAuth: 30 * time.Second, Reused: 20 * time.Second, Command: 5 * time.Minute, Data: 2 * time.Minute, Block: 3 * time.Minute, FinalDot: 10 * time.Minute,
	Quit: 5 * time.Second, Total: 25 * time.Minute,
}

// ForTest are for someone who waits at a screen.
var ForTest = Deadlines{
	DNS: 10 * time.Second, Connect: 10 * time.Second, TLS: 30 * time.Second, Greeting: 30 * time.Second,
	OAuth: 15 * time.Second, Command: 30 * time.Second, Data: 30 * time.Second, Block: 30 * time.Second, FinalDot: 30 * time.Second,
	Quit: 2 * time.Second, Total: 2 * time.Minute,
}

// Envelope is one mail for one recipient. Message has CRLF lines.
type Envelope struct {
	From    string // envelope sender
	To      string
	Message []byte
}

// Courier speaks to servers; it is safe for concurrent use.
type Courier struct {
	Deadlines Deadlines
	// Name is what EHLO says; empty for this host's own name where it resolves, else its address as a literal.
	Name string
	// Resolver looks hosts up; nil for Go's own.
	Resolver *net.Resolver
	// DialContext opens a TCP connection to an address; nil for net.Dialer's.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Pool keeps connections and access tokens between mails; nil for a connection and a token for each mail.
	Pool *Pool
	// Observe is told the facts so far each time a step ends, and once more at the end; nil for nobody.
	Observe func(core.Facts)
}

// Send carries one mail, over a kept connection where there is one. It gives facts and never an error; no secret is among them.
func (c *Courier) Send(ctx context.Context, to core.Connection, mail Envelope) core.Outcome {
	talk := c.conversation(to, mail)
	outcome := talk.hold(ctx, func(ctx context.Context) *core.Outcome {
		if outcome := talk.check(); outcome != nil {
			return outcome
		}
		return c.carry(ctx, talk)
	})
	if outcome != nil {
		return *outcome
	}
	return core.Outcome{Step: StepFinalDot, Reply: talk.accepted}
}

// carry sends the mail; what was kept and has died meanwhile is replaced once, and costs the mail no attempt.
func (c *Courier) carry(ctx context.Context, talk *conversation) *core.Outcome {
	over := c.Pool.take(talk.key)
	c.Pool.count(over != nil)
	outcome := talk.run(ctx, over)
	if talk.outlived(ctx, outcome) {
		talk.drop()
		c.Pool.count(false)
		outcome = talk.run(ctx, nil)
	}
	if talk.tokenWorn(ctx, outcome) {
		c.Pool.tokens.drop(*talk.to.OAuth, talk.keptToken)
		talk.end(outcome)
		outcome = talk.run(ctx, nil)
	}
	return outcome
}
