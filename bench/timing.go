package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// kind is a sort of account that nobody may tell from another by the clock (S2).
type kind struct {
	name    string
	address func(i int) string
}

// timing compares response times of one connection, each kind in random order among the others.
func (b *bench) timing() error {
	if err := b.enabled(); err != nil {
		return err
	}
	if err := b.fill(0); err != nil {
		return err
	}
	count := 1000
	if b.quick {
		count = 100
	}
	const first = 10_000_000 // apart from the load's accounts
	conditions := []string{"upstream answers", "upstream refuses connections", "upstream stalls"}
	// Each kind has accounts of its own in each condition, as a repeat would be another case.
	each := count * (len(conditions) + 1)
	kinds := []kind{{"unknown", func(i int) string { return fmt.Sprintf("nobody%d@example.com", i) }}}
	for n, made := range []struct{ name, change string }{
		{"known", ""},
		{"deactivated", "deleteat = 1"},
		{"SSO", "authservice = 'saml', authdata = id, password = ''"},
	} {
		from := first + n*each
		if err := b.accounts(from, from+each-1); err != nil {
			return err
		}
		if made.change != "" {
			if err := b.postgres.Exec(database, "UPDATE users SET "+made.change+" WHERE id BETWEEN 'bench' || lpad($1::int::text, 21, '0') AND 'bench' || lpad($2::int::text, 21, '0')",
				from, from+each-1); err != nil {
				return err
			}
		}
		kinds = append(kinds, kind{made.name, func(i int) string { return address(from + i) }})
	}
	if err := b.postgres.Exec(database, "ANALYZE users"); err != nil {
		return err
	}

	r := b.report
	r.table(fmt.Sprintf("Response times, %d requests of each kind, one connection, in random order", count),
		"Case", "Kind", "Median", "95 %", "Median against unknown", "Mann-Whitney p against unknown", "Goal (S2)")
	b.sink.delay.Store(0)
	for n, condition := range conditions {
		switch n {
		case 1:
			b.sink.down()
		case 2:
			if err := b.sink.up(); err != nil {
				return err
			}
			b.sink.stalled.Store(true)
		}
		b.stage.Say("response times: %s", condition)
		took, err := b.ask(ours, kinds, n*count, count)
		if err != nil {
			return err
		}
		b.compare("Postroom, "+condition, kinds, took, true)
	}
	b.sink.stalled.Store(false)
	b.stage.Say("response times: Mattermost's own")
	// Mattermost answers SSO accounts with another status; only its known and unknown ones can be compared.
	took, err := b.ask(theirs, kinds[:2], len(conditions)*count, count)
	if err != nil {
		return err
	}
	b.compare("Mattermost, "+conditions[0], kinds[:2], took, false)
	return nil
}

// ask sends count requests of each kind; warm-up requests come first and don't count.
func (b *bench) ask(path string, kinds []kind, from, count int) ([][]time.Duration, error) {
	took := make([][]time.Duration, len(kinds))
	order := make([]int, 0, len(kinds)*count)
	for k := range kinds {
		for range count {
			order = append(order, k)
		}
	}
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for i := range 50 {
		if _, err := b.node.Client.Do("POST", path, map[string]string{"email": fmt.Sprintf("warm%d@example.com", i)}); err != nil {
			return nil, err
		}
	}
	for _, k := range order {
		reply, err := b.node.Client.Do("POST", path, map[string]string{"email": kinds[k].address(from + len(took[k]))})
		if err == nil && reply.Status != 200 {
			err = errors.New(reply.String())
		}
		if err != nil {
			return nil, err
		}
		took[k] = append(took[k], reply.Took)
	}
	return took, nil
}

func (b *bench) compare(name string, kinds []kind, took [][]time.Duration, goal bool) {
	b.report.row(name, kinds[0].name, milli(median(took[0])), milli(quantile(took[0], 0.95)), "", "", "")
	for k := 1; k < len(kinds); k++ {
		off := float64(median(took[k]))/float64(median(took[0])) - 1
		p := mannWhitney(took[k], took[0])
		said := ""
		if goal {
			said = verdict(off < 0.05 && off > -0.05 && p > 0.01, "within 5 %, p > 0.01")
		}
		b.report.row("", kinds[k].name, milli(median(took[k])), milli(quantile(took[k], 0.95)), fmt.Sprintf("%+.1f %%", 100*off), fmt.Sprintf("%.3g", p), said)
	}
}
