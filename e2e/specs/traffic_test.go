package specs

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postroom/e2e/harness"
)

// traffic hands mail to the relay as Mattermost does, over and over, and has Mattermost send its own meanwhile.
type traffic struct {
	relay harness.Submission
	admin *harness.Client
	name  string

	once sync.Once
	stop chan struct{}
	all  sync.WaitGroup

	mu       sync.Mutex
	number   int
	accepted []string // addresses
	refused  []error  // connections that were turned away, and mails answered 4xx or 5xx
	broken   []error  // connections that ended under way
	native   int      // mails that Mattermost has sent of its own, and said so
	slowest  time.Duration
	since    time.Time
	first    time.Time // the first such
}

// drive begins to send: from so many at once, each with that pause between two mails, and, with an admin, Mattermost's
// own test mail besides.
func drive(t *testing.T, relay harness.Submission, workers int, pause time.Duration, admin *harness.Client) *traffic {
	tr := &traffic{relay: relay, admin: admin, name: unique("load"), stop: make(chan struct{})}
	for range workers {
		tr.all.Go(func() { tr.repeat(pause, tr.hand) })
	}
	if admin != nil {
		tr.all.Go(func() { tr.repeat(200*time.Millisecond+pause, tr.own) })
	}
	t.Cleanup(tr.halt)
	return tr
}

// halt sends no more.
func (tr *traffic) halt() {
	tr.once.Do(func() { close(tr.stop) })
	tr.all.Wait()
}

func (tr *traffic) repeat(pause time.Duration, once func()) {
	for {
		select {
		case <-tr.stop:
			return
		case <-time.After(pause):
			once()
		}
	}
}

// body is of a notification's size.
var body = strings.Repeat(strings.Repeat("x", 76)+"\r\n", 64)

func (tr *traffic) hand() {
	tr.mu.Lock()
	tr.number++
	to := fmt.Sprintf("%s-%d@example.com", tr.name, tr.number)
	tr.mu.Unlock()
	message := "From: Acme <noreply@example.com>\r\nTo: " + to + "\r\nSubject: load\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: text/plain\r\n\r\n" + body
	began := time.Now()
	how, err := tr.relay.Send("noreply@example.com", to, []byte(message))
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.slowest = max(tr.slowest, time.Since(began))
	var said interface{ Timeout() bool }
	switch {
	case how == harness.Accepted:
		tr.accepted = append(tr.accepted, to)
		if !tr.since.IsZero() && tr.first.IsZero() && began.After(tr.since) {
			tr.first = time.Now()
		}
	case how == harness.Unknown, errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), strings.Contains(err.Error(), "EOF"):
		tr.broken = append(tr.broken, err)
	case errors.As(err, &said) && said.Timeout():
		tr.refused = append(tr.refused, fmt.Errorf("waited in vain: %w", err))
	default:
		tr.refused = append(tr.refused, err)
	}
}

// own has Mattermost send a mail of its own.
func (tr *traffic) own() {
	reply, err := tr.admin.Do("POST", "/api/v4/email/test", nil)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	switch {
	case err != nil:
		tr.refused = append(tr.refused, fmt.Errorf("Mattermost's own mail: %w", err))
	case reply.Status != 200:
		tr.refused = append(tr.refused, fmt.Errorf("Mattermost's own mail: %s", reply))
	default:
		tr.native++
	}
}

// mark begins to wait for the first mail that is accepted of those begun from now on.
func (tr *traffic) mark() time.Time {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.since, tr.first = time.Now(), time.Time{}
	return tr.since
}

// again waits for that mail.
func (tr *traffic) again(t *testing.T) time.Duration {
	t.Helper()
	var took time.Duration
	check(t, harness.Eventually(time.Minute, func() error {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		if tr.first.IsZero() {
			return errors.New("no mail is taken")
		}
		took = tr.first.Sub(tr.since)
		return nil
	}))
	return took
}

// end stops sending. Nobody may have been refused, and what was broken off is none of ours only where that is said.
func (tr *traffic) end(t *testing.T, mayBreak bool) {
	t.Helper()
	tr.halt()
	if len(tr.refused) > 0 {
		t.Errorf("%d mails were refused, the first: %v", len(tr.refused), tr.refused[0])
	}
	if len(tr.broken) > 0 && !mayBreak {
		t.Errorf("%d mails were broken off, the first: %v", len(tr.broken), tr.broken[0])
	}
	t.Logf("%d mails accepted, %d broken off, %d of Mattermost's own, the slowest %s", len(tr.accepted), len(tr.broken), tr.native, tr.slowest.Round(time.Millisecond))
}

// arrived waits until everything that was accepted has arrived.
func (tr *traffic) arrived(t *testing.T, sink *harness.Sink) {
	t.Helper()
	check(t, harness.Eventually(2*time.Minute, func() error {
		came := map[string]bool{}
		for _, mail := range sink.Mails() {
			for _, to := range mail.To {
				came[to] = true
			}
		}
		missing := 0
		for _, to := range tr.accepted {
			if !came[to] {
				missing++
			}
		}
		if missing > 0 {
			return fmt.Errorf("%d of %d accepted mails have not arrived", missing, len(tr.accepted))
		}
		return nil
	}))
}

// tests is how many of Mattermost's own test mails have come to the admin.
func tests(sink *harness.Sink) int {
	number := 0
	for _, mail := range sink.Mails() {
		for _, to := range mail.To {
			if to == "admin@example.com" && !strings.Contains(string(mail.Data), "/plugins/postroom/") {
				number++
			}
		}
	}
	return number
}
