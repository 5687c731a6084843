package courier

import (
	"context"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"github.com/wneessen/go-mail/smtp"

	"postroom/server/internal/core"
)

// mechanisms by the connection's names for them, in SASL's spelling.
var mechanisms = map[string]string{
	"plain": "PLAIN", "login": "LOGIN", "cram_md5": "CRAM-MD5", "scram_sha_256": "SCRAM-SHA-256", "xoauth2": "XOAUTH2",
}

// initialLimit is how long a command line may be (RFC 5321, 4.5.3.1.4); a longer initial response waits for the
// server's empty challenge (RFC 4954, 4).
const initialLimit = 512

// iterationLimit bounds what a server may make us compute for SCRAM; RFC 7677 has 4096, and the careful 600 000.
const iterationLimit = 2_000_000

// authenticate never sends a password in clear except to this machine, and never goes on without it. The first of the
// connection's mechanisms that the server offers is used, and no other is tried after it.
func (t *conversation) authenticate(ctx context.Context) *core.Outcome {
	if len(t.to.Auth) == 0 {
		return nil
	}
	t.notes.begin()
	if t.to.Security == "none" && !t.line.loopback() {
		return t.fail(failed(StepAuth, FailureNotOffered, "the password is not sent over a connection that is not encrypted; choose STARTTLS or TLS"))
	}
	if !t.offers("AUTH") {
		return t.fail(failed(StepAuth, FailureNotOffered, "the server does not offer AUTH, so that nothing was sent; switch authentication off if it needs none"))
	}
	wanted := make([]string, 0, len(t.to.Auth))
	for _, name := range t.to.Auth {
		mechanism, known := mechanisms[name]
		if known && slices.Contains(t.mechanisms(), mechanism) {
			return t.authenticateBy(ctx, mechanism)
		}
		wanted = append(wanted, mechanism)
	}
	return t.fail(failed(StepAuth, FailureNotOffered, "the server offers none of AUTH "+strings.Join(wanted, ", ")+" but "+oneLine(t.extensions["AUTH"])))
}

func (t *conversation) authenticateBy(ctx context.Context, name string) *core.Outcome {
	t.notes.facts.Mechanism = name
	var mechanism smtp.Auth
	switch name {
	case "PLAIN":
		mechanism = smtp.PlainAuth("", t.to.Username, t.to.Password, t.to.Server, true)
	case "LOGIN":
		mechanism = smtp.LoginAuth(t.to.Username, t.to.Password, t.to.Server, true)
	case "CRAM-MD5":
		mechanism = smtp.CRAMMD5Auth(t.to.Username, t.to.Password)
	case "SCRAM-SHA-256":
		mechanism = smtp.ScramSHA256Auth(t.to.Username, t.to.Password)
	case "XOAUTH2":
		token, outcome := t.accessToken(ctx)
		if outcome != nil {
			return outcome
		}
		mechanism = smtp.XOAuth2Auth(t.to.Username, token)
	}
	t.begin(t.courier.Deadlines.Command)
	return t.exchange(ctx, mechanism)
}

// exchange is the library's Client.Auth less its farewell: after a refusal that one waits for two more replies.
func (t *conversation) exchange(ctx context.Context, mechanism smtp.Auth) *core.Outcome {
	name, initial, err := mechanism.Start(&smtp.ServerInfo{Name: t.to.Server, TLS: t.to.Security != "none"})
	if err != nil {
		return t.fail(failed(StepAuth, FailureOther, err.Error()))
	}
	next := "AUTH " + name
	if encoded := t.secretly(initial); len(initial) > 0 && len(next)+len(encoded)+3 <= initialLimit {
		next, initial = next+" "+encoded, nil
	}
	said := ""                        // by the provider, of a token that it does not take
	proven := name != "SCRAM-SHA-256" // which the server must prove to know the password too
	for range 5 {
		reply, err := t.line.ask("%s", next)
		switch {
		case err == nil && reply.Code == 235 && !proven:
			return t.fail(failed(StepAuth, FailureProtocol, "the server did not prove that it knows the password, as SCRAM demands"))
		case err == nil && reply.Code != 334 && reply.Code != 235:
			outcome := replied(StepAuth, reply)
			outcome.Detail = oneLine(outcome.Detail + said)
			return t.fail(outcome)
		case err != nil, reply.Code != 334:
			return t.settle(ctx, StepAuth, reply, err, 235)
		}
		challenge, err := base64.StdEncoding.DecodeString(strings.TrimSpace(reply.Text))
		if err != nil {
			return t.fail(failed(StepAuth, FailureProtocol, "the server's challenge is not base64"))
		}
		response := initial
		switch {
		case len(initial) > 0 && len(challenge) == 0:
			initial = nil
		case name == "SCRAM-SHA-256" && iterations(challenge) > iterationLimit:
			return t.fail(failed(StepAuth, FailureProtocol, "the server demands more work of SCRAM than is sane"))
		default:
			if name == "XOAUTH2" && len(challenge) > 0 {
				said = "the server says of the access token: " + printable([]byte(oneLine(string(challenge[:min(len(challenge), 300)]))))
			}
			if response, err = mechanism.Next(challenge, true); err != nil {
				return t.fail(failed(StepAuth, FailureProtocol, "the server's challenge is not what AUTH "+name+" has there"))
			}
			proven = proven || strings.HasPrefix(string(challenge), "v=")
		}
		next = t.secretly(response)
	}
	return t.fail(failed(StepAuth, FailureProtocol, "the server never stops asking"))
}

// secretly encodes what proves who we are, which is told to nobody else from then on.
func (t *conversation) secretly(response []byte) string {
	encoded := base64.StdEncoding.EncodeToString(response)
	if string(response) != t.to.Username { // LOGIN's first, which is none
		t.notes.secrets.add(string(response), encoded)
	}
	return encoded
}

// iterations are those of SCRAM's first message (RFC 5802, 5.1), 0 in any other.
func iterations(challenge []byte) int {
	for _, attribute := range strings.Split(string(challenge), ",") {
		if count, is := strings.CutPrefix(attribute, "i="); is {
			if n, err := strconv.Atoi(count); err == nil {
				return n
			}
		}
	}
	return 0
}
