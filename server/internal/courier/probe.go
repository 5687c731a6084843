package courier

import (
	"context"

	"postroom/server/internal/core"
)

// Probe speaks to a server as for a mail, up to the point where it would name one: it logs in and takes its leave. nil says
// that it came through; else it is how it ended. No secret is in it.
func (c *Courier) Probe(ctx context.Context, to core.Connection) *core.Outcome {
	talk := c.conversation(to, Envelope{})
	return talk.hold(ctx, talk.open)
}
