package courier

import (
	"context"
	"errors"
	"slices"
	"time"

	"postroom/server/internal/core"
)

// notes gathers the facts of a conversation as its steps end. Nothing secret gets into them.
type notes struct {
	facts   core.Facts
	secrets *secrets
	observe func(core.Facts)
	began   time.Time
}

func newNotes(hidden *secrets, observe func(core.Facts)) *notes {
	return &notes{
		facts:   core.Facts{Events: []core.Event{}, Addresses: []string{}, Extensions: []string{}},
		secrets: hidden, observe: observe, began: time.Now(),
	}
}

// begin starts a step's time.
func (n *notes) begin() { n.began = time.Now() }

// event notes a step that ended so.
func (n *notes) event(step string, outcome core.Outcome, address string) {
	event := core.Event{
		Step: step, MS: time.Since(n.began).Milliseconds(), Failure: outcome.Failure,
		Detail: n.secrets.hide(outcome.Detail), Address: address,
	}
	if outcome.Reply != nil {
		event.Reply = &core.Reply{Code: outcome.Reply.Code, Text: n.secrets.hide(outcome.Reply.Text)}
	}
	n.facts.Events = append(n.facts.Events, event)
	n.begin()
	n.tell()
}

// finish says that nothing follows.
func (n *notes) finish(ctx context.Context) {
	n.facts.Finished = true
	n.facts.Cancelled = errors.Is(ctx.Err(), context.Canceled)
	n.tell()
}

func (n *notes) tell() {
	if n.observe == nil {
		return
	}
	// What is told stays as it is: later steps only append, and replace TLS as a whole.
	told := n.facts
	told.Events = slices.Clone(n.facts.Events)
	n.observe(told)
}
