package outbox

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"postroom/server/internal/courier"
)

// Tuning are the outbox's times and numbers. Tests shorten them; nothing else changes them.
type Tuning struct {
	RequestWorkers int
	Senders        int // of new account mail, at once
	OtherSenders   int // of invitations, and of notifications
	AccountWorkers int // for what is tried again
	OtherWorkers   int
	FetchCooldown  time.Duration // between two fetches of jobs from a queue
	FetchPoll      time.Duration // in case a notification was lost

	LeaseLife time.Duration // renewed at a third of it

	KeeperPeriod time.Duration // between two looks at the guard
	ReaperPeriod time.Duration // between two searches for stranded mails
	ReaperGrace  time.Duration // for jobs that run or are late
	PrunePeriod  time.Duration
	SweepPeriod  time.Duration // between two searches for accounts that are gone

	SteerPeriod time.Duration // between two looks at how the connections do

	RateWindow   time.Duration // that UpstreamPerMinute is counted in
	TurnPatience time.Duration // that a worker waits for its mail's turn at the upstream server

	Queue     courier.Deadlines
	Test      courier.Deadlines
	HelloName string
}

// Defaults are in force outside tests. A dead node's mail moves within LeaseLife + ReaperPeriod and some seconds,
// its requests within rescueAfter + ReaperPeriod: both under the 2 minutes of R8.
var Defaults = Tuning{
	RequestWorkers: 8, Senders: 32, OtherSenders: 16, AccountWorkers: 16, OtherWorkers: 16, FetchCooldown: 20 * time.Millisecond, FetchPoll: 250 * time.Millisecond,
	LeaseLife:    time.Minute,
	KeeperPeriod: 5 * time.Second, ReaperPeriod: 15 * time.Second, ReaperGrace: 30 * time.Second, PrunePeriod: time.Hour, SweepPeriod: 10 * time.Minute,
	SteerPeriod: 2 * time.Second, RateWindow: time.Minute, TurnPatience: 5 * time.Second,
	Queue: courier.ForQueue, Test: courier.ForTest,
}

const (
	requestTimeout = 20 * time.Second // one attempt at a request; another node takes it up after rescueAfter
	rescueAfter    = 40 * time.Second
	// sendMargin is what a send job may take beyond its conversation; River leaves it alone until then.
	sendMargin = 15 * time.Minute
	// faultRetry is for a mail whose outcome the core can't be asked about.
	faultRetry = 30 * time.Second
)

// notices logs each cause of trouble once, and again when it comes back after a quiet time.
type notices struct {
	log  *slog.Logger
	mu   sync.Mutex
	last map[string]time.Time
}

const noticeQuiet = 10 * time.Minute

func (n *notices) warn(ctx context.Context, cause string) {
	n.mu.Lock()
	if n.last == nil {
		n.last = map[string]time.Time{}
	}
	at, known := n.last[cause]
	n.last[cause] = time.Now()
	n.mu.Unlock()
	if !known || time.Since(at) > noticeQuiet {
		n.log.WarnContext(ctx, cause)
	}
}

// recent are the causes seen within the quiet time.
func (n *notices) recent() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	causes := []string{}
	for cause, at := range n.last {
		if time.Since(at) > noticeQuiet {
			delete(n.last, cause)
			continue
		}
		causes = append(causes, cause)
	}
	slices.Sort(causes)
	return causes
}

// riverLog passes River's warnings on, and not its daily life.
func (o *Outbox) riverLog() *slog.Logger {
	return slog.New(atLeastWarn{o.log.Handler()}).With("component", "river")
}

type atLeastWarn struct{ slog.Handler }

func (h atLeastWarn) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

func (h atLeastWarn) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLeastWarn{h.Handler.WithAttrs(attrs)}
}

func (h atLeastWarn) WithGroup(name string) slog.Handler {
	return atLeastWarn{h.Handler.WithGroup(name)}
}
