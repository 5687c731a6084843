package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"postroom/e2e/harness"
)

// relay measures mails taken and delivered by the relay beside Postfix, and Mattermost's own reset through the relay beside
// straight to the sink. One load generator for all, with Mattermost's manners: a connection for each mail.
func (b *bench) relay() error {
	if err := b.enabled(); err != nil {
		return err
	}
	if err := b.besidePostfix(); err != nil {
		return err
	}
	return b.nativeReset()
}

// mailOf gives a real mail of Mattermost's, of 24 kB, for an address.
func (b *bench) mailOf() (func(to string, number int) []byte, error) {
	const sampled = "anna.en@example.com"
	sample, err := os.ReadFile(filepath.Join(b.stage.Root, "core", "tests", "relay", "welcome.en.eml"))
	if err == nil && !bytes.Contains(sample, []byte(sampled)) {
		err = fmt.Errorf("the sample is not for %s", sampled)
	}
	return func(to string, number int) []byte {
		return bytes.Replace(bytes.ReplaceAll(sample, []byte(sampled), []byte(to)),
			[]byte("Subject: "), []byte("Subject: ["+strconv.Itoa(number)+"] "), 1)
	}, err
}

// submit hands mails over, over so many connections at once, for a while, and waits until each has come to the sink.
func (b *bench) submit(to harness.Submission, connections int, lasts time.Duration) (rate, error) {
	mail, err := b.mailOf()
	if err != nil {
		return rate{}, err
	}
	before, usedBefore := b.sink.taken.Load(), b.processorTime()
	var mu sync.Mutex
	var out rate
	var failure error
	var number atomic.Int64
	started := time.Now()
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			var own []time.Duration
			for time.Since(started) < lasts {
				i := int(number.Add(1))
				recipient := "reader" + strconv.Itoa(i) + "@example.com"
				message := mail(recipient, i)
				began := time.Now()
				if what, err := to.Send("noreply@example.com", recipient, message); err != nil {
					mu.Lock()
					failure = fmt.Errorf("mail %d was %s: %w", i, what, err)
					mu.Unlock()
					return
				}
				own = append(own, time.Since(began))
			}
			mu.Lock()
			out.took = append(out.took, own...)
			mu.Unlock()
		})
	}
	all.Wait()
	out.accepted, out.accepting = len(out.took), time.Since(started)
	if failure != nil {
		return out, failure
	}
	for limit := time.Now().Add(3 * time.Minute); b.sink.taken.Load()-before < int64(out.accepted) && time.Now().Before(limit); {
		time.Sleep(10 * time.Millisecond)
	}
	out.taken = int(b.sink.taken.Load() - before)
	out.sending = time.Unix(0, b.sink.lastAt.Load()).Sub(started)
	out.used = b.processorTime().since(usedBefore)
	return out, nil
}

func (b *bench) besidePostfix() error {
	postfix, err := b.startPostfix()
	if err != nil {
		return err
	}
	if err := b.switchRelay("enable"); err != nil {
		return err
	}
	relay, err := b.node.Submission()
	if err != nil {
		return err
	}
	loopback := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
	lasts, rounds := 4*time.Second, 3
	if b.quick {
		lasts, rounds = time.Second, 1
	}
	b.report.table("Mails of 24 kB taken and delivered, a connection for each, the relay beside Postfix on the same machine",
		"Connections", "Server", "Taken", "Median", "Delivered", "Ratio to Postfix in clear text, taken / delivered", "Goal")
	for _, connections := range []int{1, 10} {
		sides := []struct {
			name string
			to   harness.Submission
			rate
		}{
			{"Postfix, clear text", harness.Submission{Address: loopback(postfix.plain), Plain: true}, rate{}},
			{"Postfix, TLS", harness.Submission{Address: loopback(postfix.tls)}, rate{}},
			{"the relay, TLS and AUTH", relay, rate{}},
		}
		for range rounds {
			for i := range sides {
				one, err := b.submit(sides[i].to, connections, lasts)
				if err != nil {
					return fmt.Errorf("%s: %w", sides[i].name, err)
				}
				sides[i].add(one)
				if err := b.idle(2 * time.Minute); err != nil {
					return err
				}
			}
		}
		for _, side := range sides {
			taken, delivered := side.accepts()/sides[0].accepts(), side.delivers()/sides[0].delivers()
			goal := ""
			if side.to.Username != "" {
				goal = verdict(taken >= 2, "takes twice as many") + "; " + verdict(delivered >= 1, "delivers as many")
			}
			b.report.row(strconv.Itoa(connections), side.name, fmt.Sprintf("%.0f/s", side.accepts()), milli(median(side.took)),
				fmt.Sprintf("%.0f/s", side.delivers()), fmt.Sprintf("%.2f / %.2f", taken, delivered), goal)
			if side.to.Username != "" {
				each := func(d time.Duration) string { return milli(d / time.Duration(max(1, side.accepted))) }
				b.stage.Say("%d connections: processor time a mail: service %s, PostgreSQL %s, load generator and sink %s", connections,
					each(side.used.service), each(side.used.postgres), each(side.used.bench))
			}
		}
	}
	return b.switchRelay("disable")
}

// switchRelay waits until the relay is as wished.
func (b *bench) switchRelay(verb string) error {
	return harness.Eventually(30*time.Second, func() error {
		return b.admin.Must("POST", harness.Plugin+"/api/v1/relay/"+verb, nil, nil)
	})
}

// nativeReset measures Mattermost's own endpoint, its mail straight to the sink and through the relay.
func (b *bench) nativeReset() error {
	lasts, rounds, accounts := 3*time.Second, 3, 20_000
	if b.quick {
		lasts, rounds, accounts = time.Second, 1, 4_000
	}
	if b.next == 0 {
		if err := b.accounts(0, accounts-1); err != nil {
			return err
		}
	}
	var straight, relayed rate
	for range rounds {
		for verb, to := range map[string]*rate{"disable": &straight, "enable": &relayed} {
			if err := b.switchRelay(verb); err != nil {
				return err
			}
			one, err := b.drive(theirs, lasts, 0)
			if err != nil {
				return err
			}
			to.add(one)
		}
	}
	b.report.table(fmt.Sprintf("Mattermost's own reset, %d connections", connections), "Its mail goes", "Accepted", "Median reply", "Delivered", "Ratio")
	b.report.row("straight to the sink", fmt.Sprintf("%.0f/s", straight.accepts()), milli(median(straight.took)), fmt.Sprintf("%.0f/s", straight.delivers()), "")
	b.report.row("through the relay", fmt.Sprintf("%.0f/s", relayed.accepts()), milli(median(relayed.took)), fmt.Sprintf("%.0f/s", relayed.delivers()),
		fmt.Sprintf("%.2f", relayed.accepts()/straight.accepts()))
	return b.switchRelay("disable")
}
