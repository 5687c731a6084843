package outbox

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/engine"
)

// failing is a core that traps at some operations.
type failing struct {
	Engine
	at []string
}

func (f failing) Call(ctx context.Context, op string, now time.Time, args, out any) error {
	if slices.Contains(f.at, op) {
		return engine.ErrTrapped
	}
	err := f.Engine.Call(ctx, op, now, args, out)
	if made, ok := out.(*core.PrepareResult); ok && made.Mail != nil {
		made.Mail.Clear = nil // as after a restart: the mail has to be opened
	}
	return err
}

func trapsAt(ops ...string) func(*Options) {
	return func(o *Options) { o.Engine = failing{o.Engine, ops} }
}

// R12, R13: a mail that our own code fails at is tried a few times and then put aside, with the words for it.
func TestAMailThatOurOwnCodeFailsAt(t *testing.T) {
	w := newWorld(t)
	w.ask(w.start(trapsAt("open")), "reset", "anna")
	for i, attempts := range []string{"1", "2", "3", "4"} {
		w.eventually("it is tried", func() bool {
			return w.states() == "deferred" && w.text(`SELECT faults FROM postroom.mails`) == attempts
		})
		if i == 0 && !strings.Contains(w.text(`SELECT reason FROM postroom.mails`), "Postroom itself failed") {
			t.Error(w.text(`SELECT reason FROM postroom.mails`))
		}
		w.hurry()
	}
	w.eventually("it is put aside", func() bool { return w.states() == "failed" })
	if reason := w.text(`SELECT reason FROM postroom.mails`); !strings.Contains(reason, "Put aside") || len(w.peer.Mails()) > 0 {
		t.Error(reason)
	}
}

// What the server accepted is sent, whether or not the core can say so: judged, or even asked what to do then.
func TestAnOutcomeThatCanNotBeJudged(t *testing.T) {
	for name, ops := range map[string][]string{"judge": {"judge"}, "judge and fault": {"judge", "fault"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.ask(w.start(trapsAt(ops...)), "reset", "anna")
			w.eventually("it is sent", func() bool { return w.states() == "sent" })
		})
	}
}
