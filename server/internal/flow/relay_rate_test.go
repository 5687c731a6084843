package flow

import (
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// processorTime is what this process has used of the processors.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkRelay is what the relay takes: a notification of 31 kB, from one and from ten connections at once, with the
// processor time of relay, core and sender, without PostgreSQL's. PGTEST_FSYNC=1 lets PostgreSQL write as in production.
func BenchmarkRelay(b *testing.B) {
	for _, connections := range []int{1, 10} {
		b.Run(strconv.Itoa(connections), func(b *testing.B) {
			s := relayStage(b)
			_, send := s.listening()
			message, to := sample(b, "notification.en")
			var left atomic.Int64
			left.Store(int64(b.N))
			var senders sync.WaitGroup
			spent := processorTime(b)
			b.ResetTimer()
			for range connections {
				senders.Go(func() {
					for left.Add(-1) >= 0 {
						if err := send("noreply@example.com", to, message); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			senders.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
			b.ReportMetric((processorTime(b)-spent).Seconds()*1000/float64(b.N), "cpu-ms/mail")
			if n := s.count(`SELECT count(*) FROM postroom.mails`); n != b.N {
				b.Errorf("%d mails of %d", n, b.N)
			}
		})
	}
}
