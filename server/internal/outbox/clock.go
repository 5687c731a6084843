package outbox

import (
	"context"
	"sync/atomic"
	"time"
)

// clock is PostgreSQL's, as this node knows it: its own, put right by what the two differ. Nodes may be minutes apart
// (R8), and most of what River decides it decides by its client's clock: when a job that was put off comes again, when
// a scheduled one is due. This is the clock that it is given.
type clock struct {
	node  func() time.Time
	ahead atomic.Int64 // ns that PostgreSQL's clock is ahead of the node's
}

// Now is River's. It keeps the reading of the monotonic clock that River measures durations by.
func (c *clock) Now() time.Time { return c.node().Add(time.Duration(c.ahead.Load())) }

// NowOrNil is River's: nil has its SQL take PostgreSQL's now() itself.
func (c *clock) NowOrNil() *time.Time { return nil }

// readClock compares the two clocks. The answer is from somewhere between the question and its arrival.
func (o *Outbox) readClock(ctx context.Context) error {
	asked := o.clock.node()
	began := time.Now()
	now, err := o.store.Now(ctx)
	if err != nil {
		return err
	}
	o.clock.ahead.Store(int64(now.Sub(asked.Add(time.Since(began) / 2))))
	return nil
}
