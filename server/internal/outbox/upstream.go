package outbox

import (
	"context"
	"sync"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/store"
)

// shares are this node's of each connection.
type shares struct {
	mu sync.Mutex
	of map[string]*upstream
}

// shareOf is this node's share of a connection, empty until shareUpstream has asked for it.
func (o *Outbox) shareOf(name string) *upstream {
	o.shares.mu.Lock()
	defer o.shares.mu.Unlock()
	u := o.shares.of[name]
	if u == nil {
		u = &upstream{}
		u.init()
		o.shares.of[name] = u
	}
	return u
}

// upstream is this node's share of a server that mail goes to: connections at once, account mail first, and turns
// where the rate is limited. What the shares are is the core's decision.
type upstream struct {
	mu      sync.Mutex
	asked   core.UpstreamArgs // what the shares were made from
	places  [3]int            // by class: see core.UpstreamResult
	inUse   [3]int
	waiting [3][]chan struct{}
	rate    *core.Rate // nil where there is none

	// turns has one taker of a class ask for a turn at a time: the others would only wake to be refused.
	turns [3]chan struct{}
}

// Classes in order of precedence.
var classes = [3]string{store.ClassAccount, store.ClassInvitation, store.ClassNotification}

func classIndex(class string) int {
	for i, known := range classes {
		if class == known {
			return i
		}
	}
	return len(classes) - 1
}

func (u *upstream) init() {
	for i := range u.turns {
		u.turns[i] = make(chan struct{}, 1)
	}
}

// free is whether a mail of that class may have a place now.
func (u *upstream) free(class int) bool {
	all, from := 0, 0
	for i, n := range u.inUse {
		all += n
		if i >= class {
			from += n
		}
	}
	return all < u.places[0] && from < u.places[class]
}

// try takes a place if there is one.
func (u *upstream) try(class string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := classIndex(class)
	if !u.free(c) || len(u.waiting[c]) > 0 {
		return false
	}
	u.inUse[c]++
	return true
}

// take waits for a place as long as ctx allows.
func (u *upstream) take(ctx context.Context, class string) bool {
	c, given := classIndex(class), make(chan struct{})
	u.mu.Lock()
	u.waiting[c] = append(u.waiting[c], given)
	u.give()
	u.mu.Unlock()
	select {
	case <-given:
		return true
	case <-ctx.Done():
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, waiting := range u.waiting[c] {
		if waiting == given {
			u.waiting[c] = append(u.waiting[c][:i:i], u.waiting[c][i+1:]...)
			return false
		}
	}
	return true // it was given meanwhile
}

func (u *upstream) leave(class string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.inUse[classIndex(class)]--
	u.give()
}

// give hands free places to who waits, in order of precedence.
func (u *upstream) give() {
	for c := range u.waiting {
		for len(u.waiting[c]) > 0 && u.free(c) {
			u.inUse[c]++
			close(u.waiting[c][0])
			u.waiting[c] = u.waiting[c][1:]
		}
	}
}

func (u *upstream) limited() *core.Rate {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.rate
}

// shareUpstream asks the core for this node's share of each connection, where the settings or the number of nodes have
// changed.
func (o *Outbox) shareUpstream(ctx context.Context) error {
	nodes, err := o.store.CountNodes(ctx)
	if err != nil {
		return err
	}
	ways, err := o.ways(ctx, o.current.Load())
	if err != nil {
		return nil // mail waits, and the admin is told where it does
	}
	for _, it := range ways {
		if it.connection == nil {
			continue
		}
		args := core.UpstreamArgs{Connections: it.connections, Nodes: nodes, PerWindow: it.perMinute, WindowMS: o.tuning.RateWindow.Milliseconds()}
		if err := o.share(ctx, it.share, args); err != nil {
			return err
		}
	}
	return nil
}

func (o *Outbox) share(ctx context.Context, u *upstream, args core.UpstreamArgs) error {
	u.mu.Lock()
	same := u.asked == args
	u.mu.Unlock()
	if same {
		return nil
	}
	var out core.UpstreamResult
	if err := o.engine.Call(ctx, core.OpUpstream, time.Now(), args, &out); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asked, u.rate = args, out.Rate
	u.places = [3]int{out.Places.Account, out.Places.Invitation, out.Places.Notification}
	u.give()
	return nil
}

// enter waits a little for a place and, where the rate is limited, for a turn; false says that neither came, and the
// mail is to wait without a worker. A mail that may not be taken now takes no turn; "" is one that this node has.
func (o *Outbox) enter(ctx context.Context, by *way, class, mailID, key string) (bool, error) {
	waiting, cancel := context.WithTimeout(ctx, o.tuning.TurnPatience)
	defer cancel()
	if !by.share.take(waiting, class) {
		return false, ctx.Err()
	}
	rate := by.share.limited()
	if rate == nil {
		return true, nil
	}
	mine, err := o.turn(waiting, by, rate, class, mailID, key)
	if err != nil || !mine {
		by.share.leave(class)
	}
	if waiting.Err() != nil && ctx.Err() == nil {
		err = nil // it is only patience that has ended
	}
	return mine, err
}

func (o *Outbox) turn(ctx context.Context, by *way, rate *core.Rate, class, mailID, key string) (bool, error) {
	c := classIndex(class)
	select {
	case by.share.turns[c] <- struct{}{}:
		defer func() { <-by.share.turns[c] }()
	case <-ctx.Done():
		return false, nil
	}
	ahead := [3]int64{rate.AheadUS.Account, rate.AheadUS.Invitation, rate.AheadUS.Notification}[c]
	for {
		if mailID != "" {
			if may, err := o.store.MayBeTaken(ctx, mailID, key); err != nil || !may {
				return err == nil, err
			}
		}
		wait, err := o.store.Turn(ctx, by.name, micro(rate.IntervalUS), micro(ahead), micro(rate.FullUS))
		if err != nil || wait <= 0 {
			return err == nil, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return false, nil
		}
	}
}

func micro(us int64) time.Duration { return time.Duration(us) * time.Microsecond }
