package courier

import (
	"context"
	"slices"
	"strings"

	"postroom/server/internal/core"
)

func (t *conversation) greet(ctx context.Context) *core.Outcome {
	t.begin(t.courier.Deadlines.Greeting)
	reply, err := t.line.reply()
	return t.settle(ctx, StepGreeting, reply, err, 220)
}

// hello says EHLO; where a server does not know that it says HELO, and nothing is offered then. What EHLO met is the cause
// where both fail.
func (t *conversation) hello(ctx context.Context) *core.Outcome {
	t.begin(t.courier.Deadlines.Command)
	name := t.helloName(ctx)
	reply, err := t.line.ask("EHLO %s", name)
	if err == nil && reply.Code/100 == 5 {
		if old, err := t.line.ask("HELO %s", name); err == nil && old.Code == 250 {
			t.extensions, t.notes.facts.Extensions = nil, []string{}
			return t.settle(ctx, StepEHLO, old, nil, 250)
		}
	}
	if err == nil && reply.Code == 250 {
		t.offered(reply.Text)
	}
	return t.settle(ctx, StepEHLO, reply, err, 250)
}

// offered reads the extensions of an EHLO reply (RFC 5321, 4.1.1.1): keywords, each with parameters.
func (t *conversation) offered(text string) {
	t.extensions = map[string]string{}
	lines := strings.Split(text, "\n")[1:]
	told := make([]string, 0, len(lines))
	for _, line := range lines {
		told = append(told, oneLine(t.notes.secrets.hide(line)))
		keyword, parameters, _ := strings.Cut(oneLine(line), " ")
		keyword = strings.ToUpper(keyword)
		// "AUTH=LOGIN" is how servers said it before RFC 2554; some still say both.
		if first, old := strings.CutPrefix(keyword, "AUTH="); old {
			keyword, parameters = "AUTH", first+" "+parameters
		}
		if known := t.extensions[keyword]; known != "" {
			parameters = known + " " + parameters
		}
		t.extensions[keyword] = strings.TrimSpace(parameters)
	}
	t.notes.facts.Extensions = told
}

func (t *conversation) offers(extension string) bool {
	_, offered := t.extensions[extension]
	return offered
}

// mechanisms are those that the server offers for AUTH.
func (t *conversation) mechanisms() []string {
	return slices.Compact(strings.Fields(strings.ToUpper(t.extensions["AUTH"])))
}

// startTLS fails closed: a server that does not offer STARTTLS gets neither password nor mail.
func (t *conversation) startTLS(ctx context.Context) *core.Outcome {
	if t.to.Security != "starttls" {
		return nil
	}
	t.notes.begin()
	if !t.offers("STARTTLS") {
		return t.fail(failed(StepStartTLS, FailureNotOffered, "the server does not offer STARTTLS; nothing was sent to it in clear text"))
	}
	t.begin(t.courier.Deadlines.Command)
	reply, err := t.line.ask("STARTTLS")
	if outcome := t.settle(ctx, StepStartTLS, reply, err, 220); outcome != nil {
		return outcome
	}
	t.begin(t.courier.Deadlines.TLS)
	secure, outcome := t.secure(ctx, t.line.Conn, "")
	if outcome != nil {
		return outcome
	}
	// What was offered in clear text is forgotten (RFC 3207, 4.2).
	t.line.use(secure)
	t.extensions = nil
	return t.hello(ctx)
}
