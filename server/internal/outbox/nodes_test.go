package outbox

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"postroom/server/internal/courier/peer"
	"postroom/server/internal/pgtest"
)

// otherStore lets a node have a pool of its own.
func (w *world) otherStore(o *Options) { o.Store = w.open(w.dataSource) }

// Three nodes share the work, and each mail has one sender (R8).
func TestNodesShareTheWork(t *testing.T) {
	w := newWorld(t)
	const people = 90
	for i := range people {
		w.user(fmt.Sprint("person", i))
	}
	w.peer.At(peer.RCPT, peer.After(20*time.Millisecond, peer.Say("250 2.1.5 Ok")))
	nodes := []*Outbox{w.start(), w.start(w.otherStore), w.start(w.otherStore)}
	var all sync.WaitGroup
	for i := range people {
		all.Go(func() { w.ask(nodes[i%len(nodes)], "reset", fmt.Sprint("person", i)) })
	}
	all.Wait()
	w.eventually("all are sent", func() bool {
		return w.text(`SELECT count(*) FROM postroom.mails WHERE state = 'sent'`) == fmt.Sprint(people)
	})
	time.Sleep(200 * time.Millisecond)
	ids := map[string]int{}
	for _, taken := range w.peer.Mails() {
		header, _, _ := w.read(taken)
		ids[header.Get("Message-Id")]++
	}
	if len(ids) != people || len(w.peer.Mails()) != people {
		t.Errorf("%d mails, %d different, for %d people", len(w.peer.Mails()), len(ids), people)
	}
	if used := w.text(`SELECT count(DISTINCT attempted_by[1]) FROM postroom.river_job`); used == "1" {
		t.Error("one node did it all")
	}
}

// A lease outlasts a conversation that is longer than it: it is renewed (R8).
func TestASlowConversationKeepsItsMail(t *testing.T) {
	w := newWorld(t)
	short := func(o *Options) { o.Tuning.LeaseLife = 900 * time.Millisecond }
	w.peer.At(peer.Body, func(s *peer.Session) bool {
		time.Sleep(3 * time.Second)
		w.peer.At(peer.Body, nil)
		return peer.Say("250 2.0.0 Late, but yes")(s)
	})
	first := w.start(short)
	w.start(short, w.otherStore)
	w.ask(first, "reset", "anna")
	w.eventually("it is sent", func() bool { return w.states() == "sent" })
	if attempts := w.text(`SELECT attempts FROM postroom.mails`); attempts != "1" || len(w.peer.Mails()) > 0 {
		t.Errorf("%s attempts", attempts)
	}
}

// A dead node's mail is taken over when its lease has lapsed, with the same Message-ID: at its first attempt, which
// has no job, and at a later one, whose job River still thinks is running.
func TestADeadNodesMailMoves(t *testing.T) {
	for name, job := range map[string]string{
		"first attempt": `DELETE FROM postroom.river_job WHERE kind = 'send'`,
		"later attempt": `UPDATE postroom.river_job SET state = 'running', attempted_at = now() WHERE kind = 'send' AND state <> 'completed'`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.peer.At(peer.MAIL, peer.Say("451 4.3.0 Later"))
			o := w.start()
			w.ask(o, "reset", "anna")
			w.eventually("it waits", func() bool { return w.states() == "deferred" })
			// As a node leaves it that is killed while it sends: leased, and nobody there.
			w.exec(`UPDATE postroom.mails SET state = 'sending', next_attempt_at = NULL, lease_owner = 'dead', fence = fence + 1,
				lease_until = now() + interval '1 s', queued_at = queued_at - interval '1 min'`, job)
			w.peer.At(peer.MAIL, nil)
			time.Sleep(500 * time.Millisecond)
			if w.states() != "sending" {
				t.Error("taken while its lease held")
			}
			w.eventually("another sends it", func() bool { return w.states() == "sent" })
			if taken := w.peer.Mails(); len(taken) != 1 || !strings.Contains(taken[0].Data, w.text(`SELECT message_id FROM postroom.mails`)) {
				t.Errorf("%d mails", len(taken))
			}
		})
	}
}

// A mail whose job was lost altogether is found.
func TestALostJobIsReplaced(t *testing.T) {
	w := newWorld(t)
	w.peer.At(peer.MAIL, peer.Say("451 4.3.0 Later"))
	o := w.start()
	w.ask(o, "reset", "anna")
	w.eventually("it waits", func() bool { return w.states() == "deferred" })
	w.peer.At(peer.MAIL, nil)
	w.exec(`DELETE FROM postroom.river_job`, `UPDATE postroom.mails SET next_attempt_at = now(), queued_at = queued_at - interval '1 min'`)
	w.eventually("it is sent", func() bool { return w.states() == "sent" })
}

// Stopping waits for what runs; what does not end in time goes back to the queue for others, at once and uncounted.
func TestStoppingGivesMailBack(t *testing.T) {
	w := newWorld(t)
	w.peer.At(peer.RCPT, peer.Stall())
	o := w.start()
	w.ask(o, "reset", "anna")
	w.eventually("it is being sent", func() bool { return w.states() == "sending" })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := o.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	if w.states() != "queued" || w.text(`SELECT attempts FROM postroom.mails`) != "0" {
		t.Errorf("%s, %s attempts", w.states(), w.text(`SELECT attempts FROM postroom.mails`))
	}
	if err := o.Accept(t.Context(), Request{Kind: "reset", Email: "anna@example.com"}); err == nil {
		t.Error("accepted after the end")
	}
	w.peer.At(peer.RCPT, nil)
	w.start()
	w.eventually("the next sends it", func() bool { return w.states() == "sent" })
}

// lined is a node whose way to the database can be cut.
func (w *world) lined() (*pgtest.Line, func(*Options)) {
	line := pgtest.NewLine(w.t)
	return line, func(o *Options) { o.Store = w.open(pgtest.Rewritten(w.t, w.dataSource, line.Port())) }
}

func (w *world) tryToAsk(o *Outbox, name string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 800*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := o.Accept(ctx, Request{Kind: "reset", Email: name + "@example.com", RequestedAt: time.Now()})
	return time.Since(began), err
}

// With the database down or silent a request is refused within a second, whoever is asked about, and nothing of it
// is left; when it is back, all goes on by itself (R7).
func TestTheDatabaseGoesAndComesBack(t *testing.T) {
	w := newWorld(t)
	line, through := w.lined()
	o := w.start(through)
	w.ask(o, "reset", "anna")
	w.eventually("the first is sent", func() bool { return w.states() == "sent" })
	for name, fail := range map[string]func(){"down": line.Cut, "silent": line.Stall} {
		fail()
		for _, who := range []string{"ben", "nobody"} {
			took, err := w.tryToAsk(o, who)
			if err == nil || took > time.Second {
				t.Errorf("%s: %v after %v", name, err, took)
			}
			if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), who+"@")) {
				t.Error(err)
			}
		}
		status, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if s := o.Status(status); s.Counts != nil || s.Problem == "" {
			t.Errorf("%s: %+v", name, s)
		}
		cancel()
		line.Mend()
		w.eventually("requests are taken again", func() bool { _, err := w.tryToAsk(o, "cleo"); return err == nil })
	}
	w.eventually("all is decided", func() bool {
		return w.text(`SELECT count(*) FROM postroom.river_job WHERE kind = 'request' AND state <> 'completed'`) == "0"
	})
	w.eventually("all is sent", func() bool { return w.text(`SELECT count(*) FROM postroom.mails WHERE state <> 'sent'`) == "0" })
	to := map[string]int{}
	for _, taken := range w.peer.Mails() {
		to[taken.To]++
	}
	if to["anna@example.com"] != 1 || to["cleo@example.com"] != 1 || to["ben@example.com"] > 1 {
		t.Errorf("%v", to)
	}
}

func TestTheDatabaseIsDownAtTheStart(t *testing.T) {
	w := newWorld(t)
	line, through := w.lined()
	line.Cut()
	o := w.node(through)
	if err := o.Start(t.Context()); err != nil {
		t.Fatalf("fatal: %v", err)
	}
	if s := o.Status(t.Context()); s.State != Starting || s.Problem == "" {
		t.Errorf("%+v", s)
	}
	if took, err := w.tryToAsk(o, "anna"); err == nil || took > time.Second {
		t.Errorf("%v after %v", err, took)
	}
	line.Mend()
	w.eventually("it works", func() bool { return o.Status(t.Context()).State == Working })
	w.ask(o, "reset", "anna")
	w.eventually("the mail is sent", func() bool { return w.states() == "sent" })
}

// The outcome of a conversation survives an outage that began while it lasted: no second mail.
func TestAnOutcomeIsNotLostToAnOutage(t *testing.T) {
	w := newWorld(t)
	line, through := w.lined()
	o := w.start(through)
	w.peer.At(peer.Dot, func(s *peer.Session) bool {
		line.Cut()
		return peer.Keep(peer.Say("250 2.0.0 Ok"))(s)
	})
	w.ask(o, "reset", "anna")
	w.eventually("it was taken", func() bool { return len(w.peer.Mails()) == 1 })
	time.Sleep(1500 * time.Millisecond)
	if w.states() != "sending" {
		t.Error(w.states())
	}
	line.Mend()
	w.eventually("that is known", func() bool { return w.states() == "sent" })
	if n := len(w.peer.Mails()); n != 1 {
		t.Errorf("%d mails", n)
	}
}

func TestASchemaProblemIsSaidAtOnce(t *testing.T) {
	w := newWorld(t)
	database := strings.TrimPrefix(w.text(`SELECT current_database()`), " ")
	pgtest.Exec(t, pgtest.Superuser(t, "postgres"), "ALTER DATABASE "+database+" OWNER TO postgres")
	o := w.node()
	err := o.Start(t.Context())
	if schemaProblem(err) == nil || !strings.Contains(err.Error(), "GRANT CREATE ON DATABASE") {
		t.Fatalf("%v", err)
	}
	if s := o.Status(t.Context()); s.State != Broken || s.Problem != err.Error() {
		t.Errorf("%+v", s)
	}
	pgtest.Exec(t, pgtest.Superuser(t, "postgres"), "GRANT CREATE ON DATABASE "+database+" TO "+database)
	if err := o.Start(t.Context()); err != nil {
		t.Fatalf("after the mend: %v", err)
	}
	w.eventually("it works", func() bool { return o.Status(t.Context()).State == Working })
}
