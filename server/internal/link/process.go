package link

import (
	"context"
	"time"
)

// Process names one process for good: a number may be given again, a number with its start time is not.
type Process struct {
	PID   int    `json:"pid"`
	Start string `json:"start"`
}

// Alive reports whether this very process still runs. A zombie does not.
func (p Process) Alive() bool {
	found, err := FindProcess(p.PID)
	return err == nil && found == p
}

// WhenGone calls f once the process is gone, or returns when ctx ends. It looks every second: a number can't be
// waited for by a process that is not its parent, and R24 allows five.
func (p Process) WhenGone(ctx context.Context, f func()) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if !p.Alive() {
				f()
				return
			}
		}
	}
}
