package outbox

import (
	"context"
	"sync"
	"time"
)

// flood tells whether requests come in faster than the machine should be shared evenly for: then taking them comes
// before working on them, as a request that is taken is safe and one that waits at the door is not.
type flood struct {
	mu     sync.Mutex
	window time.Time
	now    int // requests in this window
	before int // in the one before
}

const (
	floodWindow = 100 * time.Millisecond
	// floodAbove is a rate that no ordinary server sees: 100 a second. LimitTotalPerMinute's default is 10.
	floodAbove = 10
	// floodPatience bounds how long a request's job stands back, so that mail leaves however long a flood lasts: with
	// the default 8 workers some 30 a second.
	floodPatience = 250 * time.Millisecond
	floodPause    = 25 * time.Millisecond
)

func (f *flood) count(requests int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn()
	f.now += requests
}

func (f *flood) on() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn()
	return f.now > floodAbove || f.before > floodAbove
}

func (f *flood) turn() {
	switch passed := time.Since(f.window); {
	case passed >= 2*floodWindow:
		f.window, f.before, f.now = time.Now(), 0, 0
	case passed >= floodWindow:
		f.window, f.before, f.now = f.window.Add(floodWindow), f.now, 0
	}
}

// standBack waits while a flood lasts, up to floodPatience.
func (f *flood) standBack(ctx context.Context) {
	for until := time.Now().Add(floodPatience); f.on() && time.Now().Before(until) && ctx.Err() == nil; {
		time.Sleep(floodPause)
	}
}
