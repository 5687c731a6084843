package main

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"postroom/e2e/harness"
)

// queue measures what a heap costs: mails wait while the upstream server stalls, then it answers at once.
func (b *bench) queue() error {
	if err := b.enabled(); err != nil {
		return err
	}
	if err := b.switchRelay("enable"); err != nil {
		return err
	}
	if b.next == 0 {
		if err := b.accounts(0, 10); err != nil {
			return err
		}
	}
	heaps := []int{100, 100_000}
	if b.quick {
		heaps = []int{100, 3_000}
	}
	b.report.table("A heap of notifications that waited for the upstream server, drained", "Mails", "Memory, idle", "Memory, all queued", "Highest while draining",
		"Draining", "An account mail asked for then", "Furthest out of order", "Goal")
	var first float64
	for _, mails := range heaps {
		b.stage.Say("%d queued mails", mails)
		one, err := b.heap(mails)
		if err != nil {
			return err
		}
		if first == 0 {
			first = one.rate
		}
		goal := ""
		if mails > 1000 {
			goal = verdict(one.highest.rss < one.idle.rss+30, "memory flat") + "; " + verdict(one.rate >= 0.9*first, "drains at the same rate") + "; " +
				verdict(one.astray <= 200, "order kept, but for those on their way at once") + "; " + verdict(one.account < 5*time.Second, "account mail in under 5 s")
		}
		b.report.row(strconv.Itoa(mails), one.idle.String(), one.queued.String(), one.highest.String(), fmt.Sprintf("%.0f/s", one.rate),
			one.account.Round(time.Millisecond).String(), strconv.Itoa(one.astray), goal)
	}
	return b.switchRelay("disable")
}

type heap struct {
	idle, queued, highest resident
	rate                  float64 // mails a second
	account               time.Duration
	astray                int // how many places a mail came after its turn, at most
}

func (b *bench) heap(mails int) (h heap, err error) {
	relay, err := b.node.Submission()
	if err != nil {
		return h, err
	}
	if err := b.idle(time.Minute); err != nil {
		return h, err
	}
	h.idle = measureMemory(b.node.Dir)
	b.sink.stalled.Store(true)
	before := b.sink.taken.Load()
	b.sink.order.Store(new(arrivals))
	if err := b.pour(relay, mails); err != nil {
		return h, err
	}
	h.queued = measureMemory(b.node.Dir)
	stop := watchMemory(b.node.Dir)
	asked, began := b.sink.resets.Load(), time.Now()
	b.sink.stalled.Store(false)
	reply, err := harness.NewClient(b.node.Client.Base).Do("POST", ours, map[string]string{"email": address(b.next)})
	if err != nil || reply.Status != 200 {
		return h, fmt.Errorf("a reset was not accepted: %v %w", reply, err)
	}
	b.next++
	err = harness.Eventually(20*time.Minute, func() error {
		if h.account == 0 && b.sink.resets.Load() > asked {
			h.account = time.Since(began)
		}
		if left := int64(mails) + 1 - (b.sink.taken.Load() - before); left > 0 {
			return fmt.Errorf("%d mails have not come", left)
		}
		return nil
	})
	h.highest = stop()
	h.rate = float64(mails) / time.Unix(0, b.sink.lastAt.Load()).Sub(began).Seconds()
	h.astray = b.sink.order.Load().astray()
	return h, err
}

// pour hands over so many small mails, in order, over ten connections.
func (b *bench) pour(to harness.Submission, mails int) error {
	var number atomic.Int64
	var failure atomic.Pointer[error]
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			for i := int(number.Add(1)); i <= mails && failure.Load() == nil; i = int(number.Add(1)) {
				message := fmt.Appendf(nil, "From: a@example.com\r\nTo: b@example.com\r\nSubject: [%d] news\r\n\r\nSomething has happened.\r\n", i)
				if what, err := to.Send("noreply@example.com", "reader"+strconv.Itoa(i)+"@example.com", message); err != nil {
					err = fmt.Errorf("mail %d was %s: %w", i, what, err)
					failure.Store(&err)
				}
			}
		})
	}
	all.Wait()
	if err := failure.Load(); err != nil {
		return *err
	}
	return nil
}

// arrivals are the numbers of the mails in the order in which they came.
type arrivals struct {
	mu      sync.Mutex
	numbers []int
}

func (a *arrivals) add(number int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.numbers = append(a.numbers, number)
}

// astray is the most places that a mail came after its turn.
func (a *arrivals) astray() (most int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	highest := 0
	for _, number := range a.numbers {
		highest = max(highest, number)
		most = max(most, highest-number)
	}
	return most
}
