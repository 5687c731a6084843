package main

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"postroom/e2e/harness"
)

const (
	connections = 8
	ours        = harness.Plugin + "/api/v4/users/password/reset/send"
	theirs      = "/api/v4/users/password/reset/send"
)

// rounds are how often the two endpoints take turns within a phase, so that neither has the machine's better hour.
const rounds = 3

// phase is one measurement of both endpoints.
type phase struct {
	name        string
	delay       time.Duration // of the sink's reply to the final dot
	outstanding int           // live tokens before it, of other accounts
	lasts       time.Duration // of each round
	atMost      int           // requests of a round of Mattermost's; where each reads a million rows, a few tell
}

// load measures accepted and delivered resets, each request for another account.
func (b *bench) load() error {
	if err := b.enabled(); err != nil {
		return err
	}
	phases := []phase{
		{"sink answers at once", 0, 0, 3 * time.Second, 0},
		{"sink takes 100 ms", 100 * time.Millisecond, 0, 1500 * time.Millisecond, 0},
		{"10 000 outstanding tokens", 0, 10_000, 2 * time.Second, 0},
		{"1 000 000 outstanding tokens", 0, 1_000_000, 2 * time.Second, connections},
	}
	accounts := 60_000
	if b.quick {
		accounts = 8_000
		for i := range phases {
			phases[i].lasts /= 10
			phases[i].outstanding /= 10
		}
	}
	b.stage.Say("making %d accounts", accounts)
	if err := b.accounts(0, accounts-1); err != nil {
		return err
	}
	var rows []result
	var peak resident
	for _, p := range phases {
		one, memory, err := b.phase(p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		rows = append(rows, one)
		if memory.rss > peak.rss {
			peak = memory
		}
	}
	b.show(rows)
	b.report.table("Resident memory, shim and service, under that load", "When", "Memory", "Goal")
	b.report.row("highest of all phases", peak.String(), verdict(peak.rss <= 140, "at most 140 MB"))
	return nil
}

type result struct {
	phase
	mattermost, postroom rate
}

// rate is what one endpoint did, all rounds together.
type rate struct {
	accepted  int
	accepting time.Duration // from first request to last reply
	taken     int           // mails
	sending   time.Duration // from first request to last mail
	took      []time.Duration
	used      processor // until the last mail was delivered
}

func (r *rate) add(o rate) {
	r.accepted += o.accepted
	r.accepting += o.accepting
	r.taken += o.taken
	r.sending += o.sending
	r.took = append(r.took, o.took...)
	r.used = r.used.plus(o.used)
}

func (r rate) accepts() float64  { return float64(r.accepted) / r.accepting.Seconds() }
func (r rate) delivers() float64 { return float64(r.taken) / r.sending.Seconds() }

func (b *bench) phase(p phase) (result, resident, error) {
	out := result{phase: p}
	b.sink.delay.Store(int64(p.delay))
	if err := b.fill(p.outstanding); err != nil {
		return out, resident{}, err
	}
	b.stage.Say("%s", p.name)
	var peak resident
	for range rounds {
		one, err := b.drive(theirs, p.lasts, p.atMost)
		if err != nil {
			return out, peak, err
		}
		out.mattermost.add(one)
		stop := watchMemory(b.node.Dir)
		one, err = b.drive(ours, p.lasts, 0)
		if highest := stop(); highest.rss > peak.rss {
			peak = highest
		}
		if err != nil {
			return out, peak, err
		}
		out.postroom.add(one)
	}
	return out, peak, nil
}

// fill puts live tokens of nobody's into both tables, and takes away what was there.
func (b *bench) fill(n int) error {
	if n > 0 {
		b.stage.Say("%d outstanding tokens, in both tables", n)
	}
	for _, statement := range []string{
		`TRUNCATE tokens`,
		`DELETE FROM postroom.tokens`,
		fmt.Sprintf(`INSERT INTO tokens (token, createat, type, extra)
			SELECT lpad(i::text, 64, 'x'), extract(epoch FROM now()) * 1000, 'password_recovery',
				'{"UserId":"' || lpad(i::text, 26, 'y') || '","Email":"y' || i || '@example.com"}'
			FROM generate_series(1, %d) i`, n),
		fmt.Sprintf(`INSERT INTO postroom.tokens (digest, purpose, account_id, address, password_stamp, requested_at, expires_at)
			SELECT sha256(i::text::bytea), 'reset', lpad(i::text, 26, 'y'), 'y' || i || '@example.com', 0, now(), now() + interval '1 hour'
			FROM generate_series(1, %d) i`, n),
		`ANALYZE tokens`, `ANALYZE postroom.tokens`,
	} {
		if err := b.postgres.Exec(database, statement); err != nil {
			return err
		}
	}
	return nil
}

// drive asks for resets over 8 connections for a while, then waits until each mail has come.
func (b *bench) drive(path string, lasts time.Duration, atMost int) (rate, error) {
	before := b.sink.taken.Load()
	usedBefore := b.processorTime()
	var mu sync.Mutex
	var took []time.Duration
	var failure error
	var asked atomic.Int64
	first := b.next
	started := time.Now()
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			client := harness.NewClient(b.node.Client.Base)
			var own []time.Duration
			for time.Since(started) < lasts {
				i := int(asked.Add(1))
				if atMost > 0 && i > atMost {
					break
				}
				reply, err := client.Do("POST", path, map[string]string{"email": address(first + i - 1)})
				if err == nil && reply.Status != 200 {
					err = errors.New(reply.String())
				}
				if err != nil {
					mu.Lock()
					failure = err
					mu.Unlock()
					return
				}
				own = append(own, reply.Took)
			}
			mu.Lock()
			took = append(took, own...)
			mu.Unlock()
		})
	}
	wg.Wait()
	elapsed := time.Since(started)
	b.next = first + int(asked.Load())
	if failure != nil {
		return rate{}, failure
	}
	out := rate{accepted: len(took), accepting: elapsed, took: took}
	// Delivery may go on after the last request; a minute is as long as this bench waits.
	for limit := time.Now().Add(time.Minute); b.sink.taken.Load()-before < int64(out.accepted) && time.Now().Before(limit); {
		time.Sleep(20 * time.Millisecond)
	}
	out.used = b.processorTime().since(usedBefore)
	out.taken = int(b.sink.taken.Load() - before)
	out.sending = time.Unix(0, b.sink.lastAt.Load()).Sub(started)
	if out.taken > out.accepted {
		return out, fmt.Errorf("%d mails for %d accepted requests", out.taken, out.accepted)
	}
	return out, b.idle(2 * time.Minute)
}

func (b *bench) show(rows []result) {
	r := b.report
	r.table(fmt.Sprintf("Resets through the real server, %d connections, each for another account", connections),
		"Case", "Mattermost accepts (delivers at once)", "Postroom accepts", "Ratio", "Postroom delivers", "Median reply, Mattermost / Postroom", "Goal")
	goals := map[time.Duration]float64{0: 3, 100 * time.Millisecond: 15}
	for _, row := range rows {
		m, p := row.mattermost, row.postroom
		times := p.accepts() / m.accepts()
		goal := ""
		if row.outstanding == 0 {
			want := goals[row.delay]
			goal = verdict(times >= want, fmt.Sprintf("accepts %.0f times", want)) + "; " +
				verdict(p.delivers() >= m.accepts(), "delivers Mattermost's rate at least")
		} else {
			flat := p.accepts() / rows[0].postroom.accepts()
			goal = verdict(flat >= 0.9, fmt.Sprintf("flat (%.2f of the first)", flat))
		}
		delivered := fmt.Sprintf("%.0f/s", p.delivers())
		if left := p.accepted - p.taken; left > 0 {
			delivered += fmt.Sprintf(" (%d of %d still waiting after a minute)", left, p.accepted)
		}
		r.row(row.name, fmt.Sprintf("%.1f/s", m.accepts()), fmt.Sprintf("%.0f/s", p.accepts()), fmt.Sprintf("%.1f", times), delivered,
			milli(median(m.took))+" / "+milli(median(p.took)), goal)
	}

	r.table("Processor time for one reset, from request to delivery", "Case", "Endpoint", "Mattermost", "shim", "service", "PostgreSQL", "load generator and sink")
	for _, row := range rows {
		for _, side := range []struct {
			name string
			rate
		}{{"Mattermost's", row.mattermost}, {"Postroom's", row.postroom}} {
			each := func(d time.Duration) string { return milli(d / time.Duration(max(1, side.accepted))) }
			r.row(row.name, side.name, each(side.used.mattermost), each(side.used.shim), each(side.used.service), each(side.used.postgres), each(side.used.bench))
		}
	}
}
