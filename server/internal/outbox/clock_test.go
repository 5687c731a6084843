package outbox

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/courier/peer"
	"postroom/server/internal/engine"
)

// off puts a node's clock that far off, and its keeper's search for lost jobs too: it would make up for much.
func off(by time.Duration) func(*Options) {
	return func(o *Options) {
		o.Clock = func() time.Time { return time.Now().Add(by) }
		o.Tuning.ReaperGrace = time.Minute
	}
}

// trapsOnce fails at the first preparation of a mail, as a core that runs out of memory does.
type trapsOnce struct {
	Engine
	trapped atomic.Bool
}

func (e *trapsOnce) Call(ctx context.Context, op string, now time.Time, args, out any) error {
	if op == core.OpPrepare && !e.trapped.Swap(true) {
		return engine.ErrTrapped
	}
	return e.Engine.Call(ctx, op, now, args, out)
}

// The nodes' clocks are five minutes apart (R8): every wait is as long as it should be by PostgreSQL's, whichever node
// leads, that is, schedules for both.
func TestNodesWhoseClocksDiffer(t *testing.T) {
	for name, clocks := range map[string][2]time.Duration{
		"the leader's is ahead":  {5 * time.Minute, 0},
		"the leader's is behind": {-5 * time.Minute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			leader := w.start(off(clocks[0]))
			w.eventually("the first node leads", func() bool { return w.text(`SELECT leader_id FROM postroom.river_leader`) == "node-1" })
			other := w.start(w.otherStore, off(clocks[1]))

			// What a node died over is taken up again, and what one is about is not.
			w.exec(`INSERT INTO postroom.river_job (kind, queue, max_attempts, attempt, args, state, attempted_at, attempted_by)
				SELECT 'request', 'request', 30000, 1, jsonb_build_object('purpose', 'reset', 'email', who || '@example.com', 'site_url', '` + site + `'),
					'running', now() - since, ARRAY['dead'] FROM (VALUES ('anna', interval '41 s'), ('ben', interval '30 s')) v (who, since)`)
			w.eventually("the dead node's request is decided", func() bool { return w.states() == "sent" })
			if running := w.text(`SELECT count(*) FROM postroom.river_job WHERE kind = 'request' AND state = 'running'`); running != "1" {
				t.Error("a request was taken from a node that is about it")
			}
			w.exec(`DELETE FROM postroom.river_job WHERE state = 'running'`)

			// A temporary failure is tried again when it should be.
			w.peer.At(peer.MAIL, peer.Say("451 4.3.0 Later"))
			for i, node := range []*Outbox{leader, other} {
				w.user(fmt.Sprint("late", i))
				w.ask(node, "reset", fmt.Sprint("late", i))
			}
			w.eventually("both are deferred", func() bool { return strings.Count(w.states(), "deferred") == 2 })
			w.peer.At(peer.MAIL, nil)
			// The core says some 10 s; 4 s less are enough to tell.
			w.exec(`UPDATE postroom.mails SET next_attempt_at = next_attempt_at - interval '4 s' WHERE state = 'deferred'`,
				`UPDATE postroom.river_job SET scheduled_at = scheduled_at - interval '4 s' WHERE state = 'scheduled'`)
			w.eventually("both are sent", func() bool { return w.states() == "sent sent sent" })
			if waited := w.text(`SELECT min(finished_at - queued_at) >= interval '4 s' FROM postroom.mails WHERE attempts = 2`); waited != "true" {
				t.Error("tried again before its time")
			}
		})
	}
}

// A job that is put off is put off by PostgreSQL's clock.
func TestARequestThatIsPutOffComesAgain(t *testing.T) {
	for _, by := range []time.Duration{-5 * time.Minute, 5 * time.Minute} {
		w := newWorld(t)
		o := w.start(off(by), func(o *Options) { o.Engine = &trapsOnce{Engine: o.Engine} })
		w.ask(o, "reset", "anna")
		w.eventually("it is decided and sent", func() bool { return w.states() == "sent" })
	}
}

// A lease that ends while the mail's data is on its way: another node has the mail by then or soon, so the first leaves
// before the final dot, and its outcome is not written. One sender for each mail, and one outcome (R8).
func TestALeaseThatEndsDuringASlowConversation(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(w *world, cut func())
	}{
		{"the node was away for longer than it", func(w *world, _ func()) {
			w.exec(`UPDATE postroom.mails SET lease_until = now()`)
		}},
		{"the database is out of the node's reach", func(_ *world, cut func()) { cut() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			line, through := w.lined()
			slow := make(chan time.Time, 1) // when the first conversation ended
			w.peer.At(peer.Body, func(s *peer.Session) bool {
				w.peer.At(peer.Body, nil)
				_, _ = io.Copy(io.Discard, s.Conn)
				slow <- time.Now()
				return false
			})
			first := w.start(through)
			w.ask(first, "reset", "anna")
			w.eventually("it is being sent", func() bool { return w.states() == "sending" })
			w.start()
			w.exec(`UPDATE postroom.mails SET queued_at = queued_at - interval '1 min'`)
			c.end(w, line.Cut)
			w.eventually("the other sends it", func() bool { return w.states() == "sent" })
			select {
			case left := <-slow:
				if taken := w.peer.Mails()[0].At; c.name != "the node was away for longer than it" && left.After(taken) {
					t.Errorf("the first was still at it %v after the other", left.Sub(taken))
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the first goes on with a mail that it has no lease of")
			}
			line.Mend()
			w.eventually("the first sees that its outcome is not wanted", func() bool {
				return strings.Contains(w.log.String(), "outcome was not written")
			})
			if row := w.text(`SELECT concat_ws(' ', state, attempts, fence) FROM postroom.mails`); row != "sent 2 2" || len(w.peer.Mails()) != 1 {
				t.Errorf("%s, %d at the peer", row, len(w.peer.Mails()))
			}
		})
	}
}
