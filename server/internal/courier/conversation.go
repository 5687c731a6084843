package courier

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"

	"postroom/server/internal/core"
)

// blockSize is how much of the body is written under one deadline.
const blockSize = 16 << 10

// conversation is one connection and the one mail that goes over it. Each step gives nil, or the outcome it ends with.
type conversation struct {
	courier  *Courier
	to       core.Connection
	mail     Envelope
	line     *line
	client   *smtp.Client
	stop     func() bool
	accepted *core.Reply
}

func (t *conversation) run(ctx context.Context) *core.Outcome {
	for _, step := range []func(context.Context) *core.Outcome{
		t.check, t.connect, t.greet, t.hello, t.startTLS, t.authenticate, t.mailFrom, t.rcptTo, t.send,
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
			return failed(StepMailFrom, FailureProtocol, "an address has a control character, a space or a bracket in it")
		}
	}
	if t.mail.To == "" {
		return failed(StepRcptTo, FailureProtocol, "there is no recipient")
	}
	if t.to.Server == "" || t.to.Port <= 0 || t.to.Port > 65535 {
		return failed(StepConnect, FailureOther, "no server and port are set")
	}
	if !slices.Contains([]string{"none", "starttls", "tls"}, t.to.Security) {
		return failed(StepConnect, FailureOther, "the connection security is none of none, starttls and tls")
	}
	return nil
}

func (t *conversation) greet(ctx context.Context) *core.Outcome {
	t.line.begin(t.courier.Deadlines.Greeting)
	client, err := smtp.NewClient(t.line, t.to.Server)
	if err != nil {
		return t.failure(ctx, StepGreeting, err)
	}
	t.client = client
	return nil
}

func (t *conversation) hello(ctx context.Context) *core.Outcome {
	t.line.begin(t.courier.Deadlines.Command)
	if err := t.client.Hello(t.courier.helloName(ctx, t.line.LocalAddr())); err != nil {
		// The library has tried HELO after EHLO failed; what EHLO met is the cause.
		if both, ok := err.(interface{ Unwrap() []error }); ok && len(both.Unwrap()) > 0 {
			err = both.Unwrap()[0]
		}
		return t.failure(ctx, StepEHLO, err)
	}
	return nil
}

// startTLS fails closed: a server that does not offer STARTTLS gets neither password nor mail.
func (t *conversation) startTLS(ctx context.Context) *core.Outcome {
	if t.to.Security != "starttls" {
		return nil
	}
	if offered, _ := t.client.Extension("STARTTLS"); !offered {
		return failed(StepStartTLS, FailureNotOffered, "the server does not offer STARTTLS; nothing was sent to it in clear text")
	}
	t.line.begin(t.courier.Deadlines.Command)
	step := StepStartTLS
	config := t.tlsConfig()
	// The library sends STARTTLS, shakes hands and says EHLO again in one call; these two tell where it is.
	t.line.onHandshake = func() {
		step = StepTLS
		t.line.begin(t.courier.Deadlines.TLS)
	}
	config.VerifyConnection = func(tls.ConnectionState) error {
		step = StepEHLO
		t.line.begin(t.courier.Deadlines.Command)
		return nil
	}
	if err := t.client.StartTLS(config); err != nil {
		return t.failure(ctx, step, err)
	}
	return nil
}

func (t *conversation) tlsConfig() *tls.Config {
	return &tls.Config{
		ServerName: t.to.Server, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: !t.to.VerifyCertificate, // the admin's choice, Mattermost's SkipServerCertificateVerification
	}
}

// authenticate never sends a password in clear except to this machine, and never goes on without it.
func (t *conversation) authenticate(ctx context.Context) *core.Outcome {
	if len(t.to.Auth) == 0 {
		return nil
	}
	if t.to.Security == "none" && !t.line.loopback() {
		return failed(StepAuth, FailureNotOffered, "the password is not sent over a connection that is not encrypted; choose STARTTLS or TLS")
	}
	offered, mechanisms := t.client.Extension("AUTH")
	if !offered {
		return failed(StepAuth, FailureNotOffered, "the server does not offer AUTH, so that nothing was sent; switch authentication off if it needs none")
	}
	var mechanism smtp.Auth
	switch names := strings.Fields(strings.ToUpper(mechanisms)); {
	case slices.Contains(names, "PLAIN"):
		mechanism = smtp.PlainAuth("", t.to.Username, t.to.Password, t.to.Server, true)
	case slices.Contains(names, "LOGIN"):
		mechanism = smtp.LoginAuth(t.to.Username, t.to.Password, t.to.Server, true)
	default:
		return failed(StepAuth, FailureNotOffered, "the server offers neither AUTH PLAIN nor AUTH LOGIN but "+oneLine(mechanisms))
	}
	t.line.begin(t.courier.Deadlines.Command)
	return t.exchange(ctx, mechanism)
}

// exchange is the library's Client.Auth less its farewell: after a refusal that one waits for two more replies.
func (t *conversation) exchange(ctx context.Context, mechanism smtp.Auth) *core.Outcome {
	name, initial, err := mechanism.Start(&smtp.ServerInfo{Name: t.to.Server, TLS: t.to.Security != "none"})
	if err != nil {
		return failed(StepAuth, FailureOther, err.Error())
	}
	next := strings.TrimSpace("AUTH " + name + " " + base64.StdEncoding.EncodeToString(initial))
	for range 4 {
		code, text, err := t.command("%s", next)
		switch {
		case err != nil:
			return t.failure(ctx, StepAuth, err)
		case code == 235:
			return nil
		case code != 334:
			return replied(StepAuth, code, text)
		}
		challenge, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
		if err != nil {
			return failed(StepAuth, FailureProtocol, "the server's challenge is not base64")
		}
		response, err := mechanism.Next(challenge, true)
		if err != nil {
			return failed(StepAuth, FailureProtocol, "the server asks for more than AUTH "+name+" has")
		}
		next = base64.StdEncoding.EncodeToString(response)
	}
	return failed(StepAuth, FailureProtocol, "the server never stops asking")
}

// command sends a line and reads the reply, whatever its code.
func (t *conversation) command(format string, args ...any) (int, string, error) {
	id, err := t.client.Text.Cmd(format, args...)
	if err != nil {
		return 0, "", err
	}
	t.client.Text.StartResponse(id)
	defer t.client.Text.EndResponse(id)
	return t.client.Text.ReadResponse(0)
}

func (t *conversation) mailFrom(ctx context.Context) *core.Outcome {
	unicode := !ascii([]byte(t.mail.From)) || !ascii([]byte(t.mail.To)) || !ascii(header(t.mail.Message))
	if offered, _ := t.client.Extension("SMTPUTF8"); unicode && !offered {
		return failed(StepMailFrom, FailureNotOffered, "the address needs SMTPUTF8 (RFC 6531), which the server does not offer")
	}
	if offered, _ := t.client.Extension("8BITMIME"); !offered && !ascii(t.mail.Message) {
		return failed(StepMailFrom, FailureNotOffered, "the mail needs 8BITMIME (RFC 6152), which the server does not offer")
	}
	t.client.SkipSMTPUTF8(!unicode)
	t.line.begin(t.courier.Deadlines.Command)
	if err := t.client.Mail("<" + t.mail.From + ">"); err != nil {
		return t.failure(ctx, StepMailFrom, err)
	}
	return nil
}

func (t *conversation) rcptTo(ctx context.Context) *core.Outcome {
	t.line.begin(t.courier.Deadlines.Command)
	if err := t.client.Rcpt("<" + t.mail.To + ">"); err != nil {
		return t.failure(ctx, StepRcptTo, err)
	}
	return nil
}

func (t *conversation) send(ctx context.Context) *core.Outcome {
	t.line.begin(t.courier.Deadlines.Data)
	body, err := t.client.Data()
	if err != nil {
		return t.failure(ctx, StepData, err)
	}
	for block := range slices.Chunk(t.mail.Message, blockSize) {
		t.line.begin(t.courier.Deadlines.Block)
		if _, err := body.Write(block); err != nil {
			return t.failure(ctx, StepBody, err)
		}
	}
	t.line.begin(t.courier.Deadlines.Block)
	if err := t.client.Text.Writer.W.Flush(); err != nil {
		return t.failure(ctx, StepBody, err)
	}
	// The final dot leaves; from here on a peer that says nothing may have the mail.
	t.line.begin(t.courier.Deadlines.FinalDot)
	err = body.Close()
	if err != nil {
		return t.failure(ctx, StepFinalDot, err)
	}
	text := ""
	if said, ok := body.(interface{ ServerResponse() string }); ok {
		text = said.ServerResponse()
	}
	t.accepted = &core.Reply{Code: 250, Text: text}
	return nil
}

// end leaves the server as RFC 5321 (4.1.1.10) asks: QUIT, and its reply. That changes nothing about what is known, so
// nobody waits for it. A peer that went silent or broke off is not spoken to again.
func (t *conversation) end(outcome *core.Outcome) {
	if t.line == nil {
		return
	}
	t.stop()
	if t.client == nil || (outcome != nil && outcome.Failure != nil && *outcome.Failure != FailureNotOffered) {
		_ = t.line.Close()
		return
	}
	go func() {
		t.line.over = context.Background()
		t.line.begin(t.courier.Deadlines.Quit)
		_, _, _ = t.command("QUIT")
		_ = t.line.Close()
	}()
}

// failure is the outcome of a step that ended in err: what the peer replied, or how it failed to.
func (t *conversation) failure(ctx context.Context, step string, err error) *core.Outcome {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return replied(step, reply.Code, reply.Msg)
	}
	// The library takes a line that was cut off for a bad one.
	if on := t.line; on.failed != nil && on.cut && errors.As(err, new(textproto.ProtocolError)) {
		err = on.failed
	}
	return failed(step, kindOf(ctx, err, step), describe(ctx, err, t.line))
}

func replied(step string, code int, text string) *core.Outcome {
	if code < 200 || code > 599 {
		return failed(step, FailureProtocol, fmt.Sprintf("the server's reply has the code %d", code))
	}
	return &core.Outcome{Step: step, Reply: &core.Reply{Code: code, Text: text}}
}

func failed(step, failure, detail string) *core.Outcome {
	return &core.Outcome{Step: step, Failure: &failure, Detail: oneLine(detail)}
}

// header is the part of a message before its first empty line.
func header(message []byte) []byte {
	head, _, _ := strings.Cut(string(message), "\r\n\r\n")
	return []byte(head)
}

func ascii(text []byte) bool {
	return !slices.ContainsFunc(text, func(b byte) bool { return b >= 0x80 })
}

func oneLine(text string) string {
	return strings.Join(strings.Fields(text), " ")
}

// helloName is what EHLO says (RFC 5321, 4.1.1.1): a name that resolves, or the address as a literal.
func (c *Courier) helloName(ctx context.Context, local net.Addr) string {
	if c.Name != "" {
		return c.Name
	}
	if name := hostName(ctx); name != "" {
		return name
	}
	host, _, err := net.SplitHostPort(local.String())
	if ip := net.ParseIP(host); err == nil && ip != nil {
		if ip.To4() == nil {
			return "[IPv6:" + ip.String() + "]"
		}
		return "[" + ip.String() + "]"
	}
	return "[127.0.0.1]"
}

const hostNameWait = 2 * time.Second
