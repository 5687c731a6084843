package outbox

import (
	"context"
	"testing"
	"time"

	"postroom/server/internal/courier/peer"
)

// A node that stops while the peer thinks about a whole mail leaves it as what it is: perhaps delivered, for others to
// try again, and nobody's.
func TestStoppingAtTheFinalDot(t *testing.T) {
	w := newWorld(t)
	whole := make(chan struct{})
	w.peer.At(peer.Dot, func(s *peer.Session) bool { close(whole); return peer.Stall()(s) })
	o := w.start()
	w.ask(o, "reset", "anna")
	<-whole
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := o.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	if row := w.text(`SELECT concat_ws(' ', state, lease_owner, next_attempt_at - now() < interval '1 minute') FROM postroom.mails`); row != "perhaps_delivered t" {
		t.Errorf("%s", row)
	}
}

// What comes to its end in time does so.
func TestStoppingLetsAConversationEnd(t *testing.T) {
	w := newWorld(t)
	begun := make(chan struct{})
	w.peer.At(peer.RCPT, func(s *peer.Session) bool {
		close(begun)
		return peer.After(time.Second, peer.Say("250 2.1.5 Ok"))(s)
	})
	o := w.start()
	w.ask(o, "reset", "anna")
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := o.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if row := w.text(`SELECT concat_ws(' ', state, attempts, fence) FROM postroom.mails`); row != "sent 1 1" {
		t.Errorf("%s", row)
	}
}
