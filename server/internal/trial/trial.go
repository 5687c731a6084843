// Package trial keeps the tests of connections that run on this node within bounds: so many at once, each for so long,
// and each broken off when somebody says so, on whichever node. What a test does is the flow's.
package trial

import (
	"context"
	"errors"
	"regexp"
	"sync"
	"time"
)

const (
	// Most run at once on a node, Within is how long one may take in all.
	Most   = 3
	Within = time.Minute
	// lookEvery is how often a running test is looked after in the database: another node may have broken it off.
	lookEvery  = time.Second
	lookWithin = 5 * time.Second
)

// Why a test does not begin.
var (
	// ErrID: the id is no UUID, or one that a test has already.
	ErrID = errors.New("the test's id is no new UUID")
	// ErrUnknown: no test of that id runs that the asker may break off.
	ErrUnknown = errors.New("no such test runs")
	// errCancelled is what broke off a test that somebody has cancelled.
	errCancelled = errors.New("the test was cancelled")
)

// FullError: Most run. One of them ends by Until at the latest.
type FullError struct{ Until time.Time }

func (e *FullError) Error() string { return "as many tests run as may run at once" }

// Rows are the tests of all nodes.
type Rows interface {
	BeginTrial(ctx context.Context, id, userID string) (bool, error)
	TrialCancelled(ctx context.Context, id string) (bool, error)
	CancelTrial(ctx context.Context, id, userID string, anyone bool) (bool, error)
	EndTrial(ctx context.Context, id string) error
}

// Trials are those of this node. It is safe for concurrent use.
type Trials struct {
	// Within bounds each; a test may shorten it before the first.
	Within time.Duration

	rows Rows

	mu      sync.Mutex
	running map[string]*Trial
}

// New has none running.
func New(rows Rows) *Trials { return &Trials{Within: Within, rows: rows, running: map[string]*Trial{}} }

// Trial is one that runs.
type Trial struct {
	ID string

	trials *Trials
	userID string
	ctx    context.Context
	until  time.Time
	cancel context.CancelCauseFunc
	stop   context.CancelFunc
	looked chan struct{}
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// Begin counts one in; End must be called. A database out of reach is no reason not to test: the test can't be broken
// off from elsewhere then.
func (t *Trials) Begin(ctx context.Context, id, userID string) (*Trial, error) {
	if !uuid.MatchString(id) {
		return nil, ErrID
	}
	trial := &Trial{ID: id, trials: t, userID: userID, until: time.Now().Add(t.Within), looked: make(chan struct{})}
	bounded, stop := context.WithDeadline(ctx, trial.until)
	trial.stop = stop
	trial.ctx, trial.cancel = context.WithCancelCause(bounded)
	if err := t.admit(trial); err != nil {
		trial.release()
		return nil, err
	}
	noting, done := context.WithTimeout(ctx, lookWithin)
	fresh, err := t.rows.BeginTrial(noting, id, userID)
	done()
	if err == nil && !fresh {
		t.dismiss(trial)
		trial.release()
		return nil, ErrID
	}
	go trial.look()
	return trial, nil
}

func (t *Trials) admit(trial *Trial) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, taken := t.running[trial.ID]; taken {
		return ErrID
	}
	if len(t.running) >= Most {
		full := &FullError{}
		for _, other := range t.running {
			if full.Until.IsZero() || other.until.Before(full.Until) {
				full.Until = other.until
			}
		}
		return full
	}
	t.running[trial.ID] = trial
	return nil
}

func (t *Trials) dismiss(trial *Trial) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.running, trial.ID)
}

// Cancel breaks one off: the user's own, or anyone's for whoever administers the system.
func (t *Trials) Cancel(ctx context.Context, id, userID string, admin bool) error {
	if !uuid.MatchString(id) {
		return ErrUnknown
	}
	t.mu.Lock()
	trial := t.running[id]
	t.mu.Unlock()
	if trial != nil {
		if trial.userID != userID && !admin {
			return ErrUnknown
		}
		trial.Cancel()
		return nil
	}
	there, err := t.rows.CancelTrial(ctx, id, userID, admin)
	if err == nil && !there {
		return ErrUnknown
	}
	return err
}

// look asks the database until the test ends.
func (t *Trial) look() {
	defer close(t.looked)
	every := time.NewTicker(lookEvery)
	defer every.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-every.C:
		}
		asking, done := context.WithTimeout(t.ctx, lookWithin)
		if cancelled, err := t.trials.rows.TrialCancelled(asking, t.ID); err == nil && cancelled {
			t.Cancel()
		}
		done()
	}
}

// Context ends with the test's time, or when it is broken off.
func (t *Trial) Context() context.Context { return t.ctx }

// Cancel breaks it off.
func (t *Trial) Cancel() { t.cancel(errCancelled) }

// Cancelled is whether somebody broke it off, or whoever asked for it has left.
func (t *Trial) Cancelled() bool {
	cause := context.Cause(t.ctx)
	return errors.Is(cause, errCancelled) || errors.Is(cause, context.Canceled)
}

// End counts it out. Whether it was cancelled is to be asked before.
func (t *Trial) End() {
	t.release()
	<-t.looked
	t.trials.dismiss(t)
	forgetting, done := context.WithTimeout(context.WithoutCancel(t.ctx), lookWithin)
	defer done()
	_ = t.trials.rows.EndTrial(forgetting, t.ID) // else it is forgotten by a later test
}

func (t *Trial) release() {
	t.cancel(nil)
	t.stop()
}
