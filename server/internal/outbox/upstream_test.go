package outbox

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/courier/peer"
	"postroom/server/internal/store"
)

// shared are places as the core gives them to one node.
func sharedUpstream(t *testing.T, connections int) *upstream {
	t.Helper()
	var u upstream
	u.init()
	var out core.UpstreamResult
	if err := realEngine(t).Call(t.Context(), core.OpUpstream, time.Now(), core.UpstreamArgs{Connections: connections, Nodes: 1, WindowMS: 60000}, &out); err != nil {
		t.Fatal(err)
	}
	u.places = [3]int{out.Places.Account, out.Places.Invitation, out.Places.Notification}
	return &u
}

// TestPlacesGoByPrecedence (R11): other mail leaves room for account mail, whose turn comes first.
func TestPlacesGoByPrecedence(t *testing.T) {
	u := sharedUpstream(t, 8)
	for range 5 { // of 8: two for account mail, one more for invitations
		if !u.try(store.ClassNotification) {
			t.Fatal("no place")
		}
	}
	for _, step := range []struct {
		class string
		free  bool
	}{
		{store.ClassNotification, false}, {store.ClassInvitation, true}, {store.ClassInvitation, false},
		{store.ClassAccount, true}, {store.ClassAccount, true}, {store.ClassAccount, false},
	} {
		if u.try(step.class) != step.free {
			t.Errorf("a place for %s mail: %v", step.class, !step.free)
		}
	}
	var order []string
	var mu sync.Mutex
	var all sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for i, class := range []string{store.ClassNotification, store.ClassInvitation, store.ClassAccount} {
		all.Go(func() {
			if !u.take(ctx, class) {
				t.Error("no place came")
			}
			mu.Lock()
			order = append(order, class)
			mu.Unlock()
			u.leave(class)
		})
		for u.queued() != i+1 {
			time.Sleep(time.Millisecond)
		}
	}
	for range 5 {
		u.leave(store.ClassNotification)
	}
	all.Wait()
	if len(order) != 3 {
		t.Error(order)
	}
	gone, stop := context.WithCancel(t.Context())
	stop()
	full := sharedUpstream(t, 2)
	full.try(store.ClassNotification)
	if full.take(gone, store.ClassNotification) || full.queued() != 0 {
		t.Error("who has gone still waits")
	}
}

func (u *upstream) queued() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.waiting[0]) + len(u.waiting[1]) + len(u.waiting[2])
}

// limited are the world's settings with other limits.
func (w *world) limited(connections, perMinute int, tuning Tuning) func(*Options) {
	return func(o *Options) {
		snapshot := w.settings
		snapshot.UpstreamConnections, snapshot.UpstreamPerMinute = connections, perMinute
		o.Settings, o.Tuning = &snapshot, &tuning
	}
}

// TestConnectionsAreLimited, over both nodes together, and a reset gets one all the same.
func TestConnectionsAreLimited(t *testing.T) {
	const connections = 8
	w := newWorld(t)
	if err := w.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.exec(`INSERT INTO postroom.nodes (node, seen_at) SELECT 'n' || i, now() + interval '1 hour' FROM generate_series(1, 2) i`)
	var now, most atomic.Int64
	w.peer.At(peer.RCPT, func(s *peer.Session) bool {
		for n := now.Add(1); ; {
			if seen := most.Load(); n <= seen || most.CompareAndSwap(seen, n) {
				break
			}
		}
		defer now.Add(-1)
		return peer.After(100*time.Millisecond, peer.Say("250 2.1.5 Ok"))(s)
	})
	change := w.limited(connections, 0, quick)
	one, two := w.start(change), w.start(change)
	w.relay(one, 60)
	w.relay(two, 60)
	began := time.Now()
	w.ask(one, "reset", "ben")
	w.eventually("the reset is sent", func() bool { return w.text(`SELECT state FROM postroom.mails WHERE kind = 'reset'`) == store.StateSent })
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the reset took %v", took)
	}
	w.eventuallyIn(time.Minute, "all are sent", func() bool { return w.text(`SELECT count(*) FROM postroom.mails WHERE state <> 'sent'`) == "0" })
	if most.Load() > connections || most.Load() < connections/2 {
		t.Errorf("%d at once, where %d are allowed", most.Load(), connections)
	}
	if attempts := w.text(`SELECT max(attempts) FROM postroom.mails`); attempts != "1" {
		t.Errorf("waiting for a place has cost an attempt: %s", attempts)
	}
}

const (
	rateWindow = 3 * time.Second
	// onItsWay is how much longer one mail may take than another from its turn to the server, on a busy machine.
	onItsWay = 400 * time.Millisecond
)

func hurried() Tuning {
	tuning := quick
	tuning.RateWindow, tuning.TurnPatience = rateWindow, time.Second
	return tuning
}

// worstWindow is the most mails that the server saw in one window.
func (w *world) worstWindow() int {
	worst, taken := 0, w.peer.Mails()
	slices.SortFunc(taken, func(a, b peer.Mail) int { return a.At.Compare(b.At) })
	for i, end := 0, 0; i < len(taken); i++ {
		for end < len(taken) && taken[end].At.Sub(taken[i].At) < rateWindow-onItsWay {
			end++
		}
		worst = max(worst, end-i)
	}
	return worst
}

// TestTheRateIsKeptByAllNodes: no window sees more mails than it says, and account mail overtakes.
func TestTheRateIsKeptByAllNodes(t *testing.T) {
	for _, perWindow := range []int{20, 60, 150} {
		t.Run(fmt.Sprint(perWindow, " in ", rateWindow), func(t *testing.T) {
			t.Parallel() // they wait more than they work
			w := newWorld(t)
			change := w.limited(50, perWindow, hurried())
			one, two := w.start(change), w.start(change)
			w.relay(one, perWindow)
			w.relay(two, perWindow)
			began := time.Now()
			w.ask(two, "reset", "ben")
			w.eventually("the reset is sent", func() bool { return w.text(`SELECT state FROM postroom.mails WHERE kind = 'reset'`) == store.StateSent })
			if heap := w.text(`SELECT count(*) FROM postroom.mails WHERE state = 'queued'`); heap == "0" {
				t.Error("there was no heap to pass")
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("the reset took %v", took)
			}
			w.eventuallyIn(time.Minute, "all are sent", func() bool { return w.text(`SELECT count(*) FROM postroom.mails WHERE state <> 'sent'`) == "0" })
			if n := len(w.peer.Mails()); n != 2*perWindow+1 {
				t.Errorf("%d of %d", n, 2*perWindow+1)
			}
			if worst := w.worstWindow(); worst > perWindow {
				t.Errorf("%d mails within %v, where %d are allowed", worst, rateWindow, perWindow)
			}
			if attempts := w.text(`SELECT max(attempts) FROM postroom.mails`); attempts != "1" {
				t.Errorf("waiting for a turn has cost an attempt: %s", attempts)
			}
		})
	}
}

// TestARestartWithAHeap (R10): everything that waited goes on, account mail first, at the rate, and in its order.
func TestARestartWithAHeap(t *testing.T) {
	const heap, perWindow = 2000, 600
	w := newWorld(t)
	before := w.node() // takes, and sends nothing
	if err := w.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	before.ended.Go(before.acceptLoop)
	before.ended.Go(before.relayLoop)
	w.relay(before, heap)
	for _, name := range []string{"anna", "ben", "cleo"} {
		w.ask(before, "reset", name)
	}
	change := w.limited(50, perWindow, hurried())
	began := time.Now()
	w.start(change)
	w.start(change)
	w.eventually("the resets are sent", func() bool {
		return w.text(`SELECT count(*) FROM postroom.mails WHERE kind = 'reset' AND state = 'sent'`) == "3"
	})
	if passed := time.Since(began); passed > 10*time.Second || len(w.peer.Mails()) > heap/2 {
		t.Errorf("the resets left after %v and %d mails", passed, len(w.peer.Mails()))
	}
	w.eventuallyIn(3*time.Minute, "all are sent", func() bool { return w.text(`SELECT count(*) FROM postroom.mails WHERE state <> 'sent'`) == "0" })
	seen := map[string]bool{}
	early, late := w.peer.Mails()[:heap/2], 0
	for _, mail := range w.peer.Mails() {
		seen[mail.Data] = true
	}
	for _, mail := range early {
		var number int
		if _, err := fmt.Sscanf(mail.Data, "Subject: notification %d", &number); err == nil && number > heap*3/4 {
			late++
		}
	}
	if len(seen) != heap+3 || len(w.peer.Mails()) != heap+3 {
		t.Errorf("%d different ones among %d", len(seen), len(w.peer.Mails()))
	}
	if late > heap/20 {
		t.Errorf("%d of the last quarter left with the first half", late)
	}
	if worst := w.worstWindow(); worst > perWindow {
		t.Errorf("%d mails within %v, where %d are allowed", worst, rateWindow, perWindow)
	}
}
