package flow

import (
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// processorTime is what this process has used of the processors.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// TestRelayRate is a floor, not a measurement (make bench measures): a notification of 31 kB, on a machine that may be
// busy, by the number of connections at once. PGTEST_FSYNC=1 lets PostgreSQL write as in production.
func TestRelayRate(t *testing.T) {
	s := relayStage(t)
	_, send := s.listening()
	message, to := sample(t, "notification.en")
	total := 0
	for _, connections := range []int{1, 10} {
		var senders sync.WaitGroup
		var sent atomic.Int64
		began, spent := time.Now(), processorTime(t)
		for range connections {
			senders.Go(func() {
				for time.Since(began) < 2*time.Second {
					if err := send("noreply@example.com", to, message); err != nil {
						t.Error(err)
						return
					}
					sent.Add(1)
				}
			})
		}
		senders.Wait()
		rate := float64(sent.Load()) / time.Since(began).Seconds()
		t.Logf("%d at once: %.0f mails/s, %.2f ms of processor time each (relay, core and sender, without PostgreSQL)", connections, rate,
			(processorTime(t)-spent).Seconds()*1000/float64(max(1, sent.Load())))
		if rate < 20 {
			t.Error("hardly anything is taken")
		}
		total += int(sent.Load())
	}
	if n := s.count(`SELECT count(*) FROM postroom.mails`); n != total {
		t.Errorf("%d mails of %d", n, total)
	}
}
