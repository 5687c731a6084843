package outbox

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postroom/server/internal/courier/peer"
)

// BenchmarkDelivery measures requests accepted and mails delivered, each for another account, by 8 callers, with a
// peer that answers at once and with one that takes 100 ms. PGTEST_FSYNC=1 lets PostgreSQL write as in production.
func BenchmarkDelivery(b *testing.B) {
	for name, wait := range map[string]time.Duration{"at once": 0, "100 ms": 100 * time.Millisecond} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			tuning := Defaults
			tuning.HelloName = "bench.test"
			o := w.start(func(o *Options) { o.Tuning = &tuning })
			if wait > 0 {
				w.peer.At(peer.RCPT, peer.After(wait, peer.Say("250 2.1.5 Ok")))
			}
			w.exec(fmt.Sprintf(`INSERT INTO users (id, username, email, deleteat, emailverified, roles, lastpasswordupdate, locale, authservice)
				SELECT 'u' || i, 'u' || i, 'u' || i || '@example.com', 0, true, 'system_user', 1, 'en', '' FROM generate_series(1, %d) i`, b.N))
			b.ResetTimer()
			began := time.Now()
			var next atomic.Int64
			var callers sync.WaitGroup
			for range 8 {
				callers.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						err := o.Accept(context.Background(), Request{Kind: "reset", Email: fmt.Sprintf("u%d@example.com", i), RequestedAt: time.Now()})
						if err != nil {
							b.Error(err)
						}
					}
				})
			}
			callers.Wait()
			accepted := time.Since(began)
			for len(w.peer.Mails()) < b.N && time.Since(began) < 2*time.Minute {
				time.Sleep(5 * time.Millisecond)
			}
			delivered := time.Since(began)
			if n := len(w.peer.Mails()); n != b.N {
				b.Fatalf("%d of %d", n, b.N)
			}
			b.ReportMetric(float64(b.N)/accepted.Seconds(), "accepted/s")
			b.ReportMetric(float64(b.N)/delivered.Seconds(), "delivered/s")
		})
	}
}
