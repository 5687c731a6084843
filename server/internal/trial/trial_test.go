package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"postroom/server/internal/pgtest"
	"postroom/server/internal/store"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// nodes are two on one database.
func nodes(t *testing.T) (here, there *Trials) {
	t.Helper()
	dataSource := pgtest.Database(t)
	open := func() *store.Store {
		db, err := store.Open(t.Context(), dataSource)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(db.Close)
		return db
	}
	first := open()
	if err := first.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return New(first), New(open())
}

func id(number int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", number) }

func begin(t *testing.T, on *Trials, number int, user string) *Trial {
	t.Helper()
	trial, err := on.Begin(t.Context(), id(number), user)
	if err != nil {
		t.Fatal(err)
	}
	return trial
}

// ended waits, with patience, for the test to be broken off.
func ended(t *testing.T, trial *Trial) {
	t.Helper()
	select {
	case <-trial.Context().Done():
	case <-time.After(20 * time.Second):
		t.Fatal("it was not broken off")
	}
}

func TestThreeAtOnce(t *testing.T) {
	here, there := nodes(t)
	first, second, third := begin(t, here, 1, "anna"), begin(t, here, 2, "anna"), begin(t, here, 3, "bert")
	defer second.End()
	defer third.End()
	var full *FullError
	if _, err := here.Begin(t.Context(), id(4), "anna"); !errors.As(err, &full) {
		t.Fatalf("a fourth began: %v", err)
	}
	if left := time.Until(full.Until); left <= 0 || left > Within {
		t.Errorf("room is promised in %s", left)
	}
	begin(t, there, 5, "anna").End() // each node counts its own
	first.End()
	begin(t, here, 6, "anna").End()
}

func TestAnIDIsNewAndAUUID(t *testing.T) {
	here, there := nodes(t)
	for _, bad := range []string{"", "x", id(1)[1:], "../" + id(1), "00000000-0000-4000-8000-00000000000G"} {
		if _, err := here.Begin(t.Context(), bad, "anna"); !errors.Is(err, ErrID) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	defer begin(t, here, 1, "anna").End()
	for name, on := range map[string]*Trials{"the same node": here, "another": there} {
		if _, err := on.Begin(t.Context(), id(1), "anna"); !errors.Is(err, ErrID) {
			t.Errorf("a second of the same id on %s: %v", name, err)
		}
	}
	for number := 2; number < 4; number++ { // what was refused takes no place
		defer begin(t, here, number, "anna").End()
	}
}

func TestWhoMayBreakOff(t *testing.T) {
	here, there := nodes(t)
	for name, on := range map[string]*Trials{"the same node": here, "another": there} {
		t.Run(name, func(t *testing.T) {
			trial := begin(t, here, 1, "anna")
			defer trial.End()
			for _, wrong := range []string{id(2), "x", "' OR true --"} {
				if err := on.Cancel(t.Context(), wrong, "anna", true); !errors.Is(err, ErrUnknown) {
					t.Errorf("%q: %v", wrong, err)
				}
			}
			if err := on.Cancel(t.Context(), id(1), "bert", false); !errors.Is(err, ErrUnknown) || trial.Context().Err() != nil {
				t.Fatalf("another user may: %v", err)
			}
			if err := on.Cancel(t.Context(), id(1), "anna", false); err != nil {
				t.Fatal(err)
			}
			ended(t, trial)
			if !trial.Cancelled() {
				t.Error("it does not say that it was cancelled")
			}
		})
		t.Run(name+", an admin", func(t *testing.T) {
			trial := begin(t, here, 3, "anna")
			defer trial.End()
			if err := on.Cancel(t.Context(), id(3), "root", true); err != nil {
				t.Fatal(err)
			}
			ended(t, trial)
		})
	}
}

func TestWhatEndedIsForgotten(t *testing.T) {
	here, there := nodes(t)
	begin(t, here, 1, "anna").End()
	for _, on := range []*Trials{here, there} {
		if err := on.Cancel(t.Context(), id(1), "anna", true); !errors.Is(err, ErrUnknown) {
			t.Error(err)
		}
	}
	begin(t, there, 1, "anna").End()
}

// Whoever asked has left: that is a test broken off. One whose time is over is not.
func TestWhyItEnded(t *testing.T) {
	here, _ := nodes(t)
	asked, leave := context.WithCancel(t.Context())
	trial, err := here.Begin(asked, id(1), "anna")
	if err != nil {
		t.Fatal(err)
	}
	defer trial.End()
	leave()
	ended(t, trial)
	if !trial.Cancelled() {
		t.Error("a client that left has not cancelled")
	}
	asked, leave = context.WithTimeout(t.Context(), time.Millisecond)
	defer leave()
	late, err := here.Begin(asked, id(2), "anna")
	if err != nil {
		t.Fatal(err)
	}
	defer late.End()
	ended(t, late)
	if late.Cancelled() {
		t.Error("what took too long was cancelled by nobody")
	}
}

// Without a database a test runs, and can be broken off where it runs.
func TestTheDatabaseIsAway(t *testing.T) {
	here := New(away{})
	trial := begin(t, here, 1, "anna")
	defer trial.End()
	if err := here.Cancel(t.Context(), id(1), "anna", false); err != nil || !trial.Cancelled() {
		t.Error(err)
	}
	if err := here.Cancel(t.Context(), id(2), "anna", false); err == nil || errors.Is(err, ErrUnknown) {
		t.Errorf("another node's is said not to run: %v", err)
	}
}

type away struct{}

var errAway = errors.New("the database is away")

func (away) BeginTrial(context.Context, string, string) (bool, error)        { return false, errAway }
func (away) TrialCancelled(context.Context, string) (bool, error)            { return false, errAway }
func (away) CancelTrial(context.Context, string, string, bool) (bool, error) { return false, errAway }
func (away) EndTrial(context.Context, string) error                          { return errAway }
