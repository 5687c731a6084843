package specs

import (
	"bytes"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postroom/e2e/harness"
)

// ledger holds every mail that was handed in against the outbox's rows and what came to the peer. Each mail has a
// domain of its own, which the rows show and the peer is told: no body is opened to tell which is which.
type ledger struct {
	postgres *harness.Postgres
	database string
	sink     *harness.Sink

	mu      sync.Mutex
	entries map[string]*entry
	crashes []crash
}

// entry is one mail as whoever handed it in saw it.
type entry struct {
	id    string
	via   string // relay, native, plugin
	how   harness.Submitted
	why   string
	began time.Time
	ended time.Time
}

// crash is something that was killed, and until when it was away.
type crash struct {
	victim string
	from   time.Time
	to     time.Time
}

// row is a mail in the outbox, or a request that waits to become one.
type row struct {
	state, messageID, attempts, reason string
	finished                           bool
}

const (
	ledgerZone = ".ledger.test"
	requested  = "requested" // a request's job, before its mail
)

func newLedger(postgres *harness.Postgres, database string, sink *harness.Sink) *ledger {
	return &ledger{postgres: postgres, database: database, sink: sink, entries: map[string]*entry{}}
}

func address(id string) string { return "u@" + id + ledgerZone }

// note writes down what became of handing a mail in.
func (l *ledger) note(id, via string, began time.Time, how harness.Submitted, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &entry{id: id, via: via, how: how, began: began, ended: time.Now()}
	if err != nil {
		e.why = err.Error()
	}
	l.entries[id] = e
}

func (l *ledger) crashed(victim string, from, to time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.crashes = append(l.crashes, crash{victim, from, to})
}

func (l *ledger) all() map[string]entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	copied := map[string]entry{}
	for id, e := range l.entries {
		seen := *e
		if e.via == "native" && e.how == harness.Accepted && l.blind(e) {
			seen.how = harness.Unknown
		}
		copied[id] = seen
	}
	return copied
}

// blind is whether Mattermost may have answered 200 without having asked its database, and so without a mail: its own
// endpoint takes an account that it can't look up for one that is not there.
func (l *ledger) blind(e *entry) bool {
	return slices.ContainsFunc(l.crashes, func(c crash) bool {
		return c.victim == postgresVictim && e.ended.After(c.from) && e.began.Before(c.to.Add(time.Second))
	})
}

// rows reads mails and waiting requests in one statement, which sees one moment.
func (l *ledger) rows() (map[string][]row, error) {
	lines, err := l.postgres.Rows(l.database, `SELECT split_part(masked_to, '@', 2), state, message_id, attempts::text, (finished_at IS NOT NULL)::text, coalesce(reason, '') || ' ' || coalesce(reply_text, '')
			FROM postroom.mails WHERE masked_to LIKE '%'||$1
		UNION ALL SELECT split_part(args->>'email', '@', 2), 'requested', '', attempt::text, 'false', state::text FROM postroom.river_job
			WHERE kind = 'request' AND state NOT IN ('completed', 'cancelled', 'discarded') AND args->>'email' LIKE '%'||$1`, ledgerZone)
	if err != nil {
		return nil, err
	}
	found := map[string][]row{}
	for _, line := range lines {
		columns := strings.SplitN(line, "\t", 6)
		id := strings.TrimSuffix(columns[0], ledgerZone)
		found[id] = append(found[id], row{columns[1], columns[2], columns[3], columns[5], columns[4] == "true"})
	}
	return found, nil
}

// standing is the one row that counts of a mail: a request counts until it is a mail, and one cancelled for another
// not at all. Its error tells of none or of several.
func standing(rows []row) (row, error) {
	mails := slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return r.state == requested })
	live := slices.DeleteFunc(slices.Clone(mails), func(r row) bool { return r.state == "cancelled" })
	switch {
	case len(live) == 1:
		return live[0], nil
	case len(live) > 1:
		return row{}, fmt.Errorf("%d rows", len(live))
	case len(mails) > 0:
		return mails[0], nil
	case len(rows) > 0:
		return rows[0], nil
	}
	return row{}, errors.New("no row")
}

// balance is the ledger's equality: accepted = sent + failed + cancelled + queued, each accepted mail in one of them.
func (l *ledger) balance(t *testing.T) (line string, open int) {
	t.Helper()
	handed := l.all() // before the rows: what is accepted now must be there then
	var rows map[string][]row
	check(t, harness.Eventually(time.Minute, func() (err error) { rows, err = l.rows(); return err }))
	accepted, states := 0, map[string]int{}
	for id, e := range handed {
		is, err := standing(rows[id])
		if e.how != harness.Accepted {
			if len(rows[id]) > 0 && err != nil {
				t.Errorf("a mail that was not accepted is written twice: %s", l.history(id, rows[id]))
			}
			continue
		}
		accepted++
		if err != nil {
			t.Errorf("an accepted mail has %v: %s", err, l.history(id, rows[id]))
			continue
		}
		states[is.state]++
		if !is.finished {
			open++
		}
	}
	sum := 0
	var parts []string
	for state, count := range states {
		sum += count
		parts = append(parts, fmt.Sprintf("%d %s", count, state))
	}
	slices.Sort(parts)
	if sum != accepted {
		t.Errorf("%d were accepted, and %d are accounted for", accepted, sum)
	}
	return fmt.Sprintf("%d handed in, %d accepted = %s", len(handed), accepted, strings.Join(parts, " + ")), open
}

// arrival is a mail at the peer: when it began to come, and when it was answered, zero if it was not.
type arrival struct {
	messageID       string
	began, answered time.Time
}

func (l *ledger) arrivals(t *testing.T) map[string][]arrival {
	t.Helper()
	found := map[string][]arrival{}
	for _, received := range l.sink.Mails() {
		read, err := mail.ReadMessage(bytes.NewReader(received.Data))
		check(t, err)
		for _, to := range received.To {
			_, domain, _ := strings.Cut(to, "@")
			if id, ours := strings.CutSuffix(domain, ledgerZone); ours {
				found[id] = append(found[id], arrival{read.Header.Get("Message-Id"), received.Began, received.Answered})
			}
		}
	}
	return found
}

// close holds the promise against everything, once all has come to rest.
func (l *ledger) close(t *testing.T) (duplicates int) {
	t.Helper()
	rows, err := l.rows()
	check(t, err)
	arrivals := l.arrivals(t)
	for id, e := range l.all() {
		came := arrivals[id]
		for i, a := range came {
			if a.messageID != came[0].messageID {
				t.Errorf("it came under two Message-IDs: %s", l.history(id, rows[id]))
				break
			}
			if i+1 < len(came) {
				duplicates++
				if !l.excused(a) {
					t.Errorf("it came again though it was answered, and nothing died then: %s", l.history(id, rows[id]))
				}
			}
		}
		is, err := standing(rows[id])
		switch {
		case e.how != harness.Accepted && err != nil:
		case err != nil:
			t.Errorf("%v: %s", err, l.history(id, rows[id]))
		case is.state == "sent" && len(came) == 0:
			t.Errorf("shown as sent, and never came: %s", l.history(id, rows[id]))
		case is.state == "sent" && is.messageID != came[0].messageID && "<"+is.messageID+">" != came[0].messageID:
			t.Errorf("another Message-ID than its row's: %s", l.history(id, rows[id]))
		case is.state == "sent":
		case !is.finished && e.how == harness.Accepted:
			t.Errorf("still %s: %s", is.state, l.history(id, rows[id]))
		case is.finished && strings.TrimSpace(is.reason) == "":
			t.Errorf("%s without a reason: %s", is.state, l.history(id, rows[id]))
		}
	}
	return duplicates
}

// writeWithin is how long writing an outcome may take after the reply, on a slow machine.
const writeWithin = 3 * time.Second

// excused is whether the promise allows that a mail comes again: the connection broke before the reply, or whoever was
// to write the outcome died before it could, which takes until the database is back.
func (l *ledger) excused(a arrival) bool {
	if a.answered.IsZero() {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	until := a.answered.Add(writeWithin)
	for _, c := range l.crashes {
		if c.victim == postgresVictim && c.from.Before(until) && c.to.After(a.answered) {
			until = c.to.Add(writeWithin)
		}
	}
	return slices.ContainsFunc(l.crashes, func(c crash) bool {
		end := c.from.Add(time.Second)
		if c.victim == "mattermost" { // its service ends when it has seen that (R24)
			end = c.from.Add(5 * time.Second)
		}
		return (c.victim == "service" || c.victim == "mattermost") && end.After(a.began) && c.from.Before(until)
	})
}

// history is all that is known of a mail.
func (l *ledger) history(id string, rows []row) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out strings.Builder
	e := l.entries[id]
	clock := func(at time.Time) string { return at.Format("15:04:05.000") }
	_, _ = fmt.Fprintf(&out, "%s by %s, handed in %s to %s: %s %s\n", id, e.via, clock(e.began), clock(e.ended), e.how, e.why)
	for _, r := range rows {
		_, _ = fmt.Fprintf(&out, "  row: %s, %s attempts, %s %s\n", r.state, r.attempts, r.messageID, r.reason)
	}
	for _, received := range l.sink.Mails() {
		if slices.Contains(received.To, address(id)) {
			_, _ = fmt.Fprintf(&out, "  at the peer %s, answered %s\n", clock(received.Began), clock(received.Answered))
		}
	}
	for _, c := range l.crashes {
		if c.to.After(e.began.Add(-10*time.Second)) && c.from.Before(e.ended.Add(30*time.Second)) {
			_, _ = fmt.Fprintf(&out, "  %s killed %s, back %s\n", c.victim, clock(c.from), clock(c.to))
		}
	}
	return out.String()
}
