package courier

import (
	"context"

	"postroom/server/internal/core"
)

// Probe speaks to a server as for a mail, up to the point where it would name one: it logs in and takes its leave. nil says
// that it came through; else it is how it ended. No secret is in it.
func (c *Courier) Probe(ctx context.Context, to core.Connection) *core.Outcome {
	if c.Deadlines.Total > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Deadlines.Total)
		defer cancel()
	}
	hidden := secretsOf(to)
	talk := &conversation{courier: c, to: to, notes: newNotes(hidden, c.Observe)}
	var outcome *core.Outcome
	for _, step := range []func(context.Context) *core.Outcome{talk.connect, talk.greet, talk.hello, talk.startTLS, talk.authenticate} {
		if outcome = step(ctx); outcome != nil {
			break
		}
	}
	talk.notes.finish(ctx)
	talk.end(outcome)
	if outcome != nil {
		outcome.Detail = hidden.hide(outcome.Detail)
		if outcome.Reply != nil {
			outcome.Reply.Text = hidden.hide(outcome.Reply.Text)
		}
	}
	return outcome
}
