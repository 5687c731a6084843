package service

import (
	"context"
	"os"
	"runtime"

	"postroom/server/internal/flow"
	"postroom/server/internal/metrics"
	"postroom/server/internal/outbox"
)

// watch gives the metrics what is to be asked at each scrape.
func (s *service) watch() {
	s.metrics.Watch(metrics.Sources{
		Queue: s.store.Queue,
		Working: func() (bool, bool) {
			state := s.outbox.State()
			return state == outbox.Working, state == outbox.Held || state == outbox.Broken
		},
		Relay: func(ctx context.Context) (bool, bool) {
			status := s.flows.Relaying(ctx)
			return status.Enabled, status.Healthy
		},
		Connections: func() int {
			if relay := s.relay.Load(); relay != nil {
				return relay.Connections()
			}
			return 0
		},
		Instances: func() int { return s.engine.Stats().Instances },
	})
}

// process is what a support packet says of this service.
func (s *service) process() flow.Process {
	return flow.Process{
		Node: s.node, Version: s.from.Version, Build: s.from.Build, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
		PID: os.Getpid(), StartedAt: s.started, Restarts: s.from.Restarts, Log: s.feed.queue.recent.all(),
	}
}
