package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"postroom/server/internal/pgtest"
)

// say tells of an incident; calm waits for that long after its end.
func say(now time.Time, is Incident, _ int) (Telling, error) {
	return Telling{Message: []byte(fmt.Sprintf(`{"text": "%s open %t"}`, is.Key, is.ClosedAt == nil)), Done: is.ClosedAt != nil}, nil
}

// looked has everything that is due looked at, and gives how many were.
func looked(t *testing.T, s *Store, decide func(time.Time, Incident, int) (Telling, error)) int {
	t.Helper()
	for count := 0; ; count++ {
		found, err := s.LookAtIncident(t.Context(), decide)
		if err != nil {
			t.Fatal(err)
		}
		if !found {
			return count
		}
	}
}

func messages(t *testing.T, s *Store) string {
	t.Helper()
	var texts *string
	if err := s.pool.QueryRow(t.Context(), `SELECT string_agg(body ->> 'text', '; ' ORDER BY id) FROM postroom.acts WHERE kind = 'message'`).Scan(&texts); err != nil {
		t.Fatal(err)
	}
	return or(texts, "")
}

func TestAnIncidentIsToldOnceAndOnceWhenItIsOver(t *testing.T) {
	s, _ := migrated(t)
	news := func(open bool) bool {
		t.Helper()
		var news bool
		var err error
		if open {
			news, err = s.OpenIncident(t.Context(), "failed_over", "primary", map[string]string{"reason": "a \x00 b"})
		} else {
			news, err = s.CloseIncident(t.Context(), "failed_over", "primary")
		}
		if err != nil {
			t.Fatal(err)
		}
		return news
	}
	if news(false) {
		t.Error("what was never open was closed")
	}
	if !news(true) || news(true) {
		t.Error("not opened once")
	}
	open, err := s.Incidents(t.Context())
	if err != nil || len(open) != 1 || open[0].Facts["reason"] != "a  b" {
		t.Fatal(open, err)
	}
	looked(t, s, say)
	news(true)
	if got := messages(t, s); looked(t, s, say) != 0 || got != "primary open true" {
		t.Errorf("%s", got)
	}
	// Closed, and open again before it is over: the same incident.
	if !news(false) || news(false) || !news(true) {
		t.Error("not closed once and opened again")
	}
	news(false)
	looked(t, s, say)
	if got := messages(t, s); looked(t, s, say) != 0 || got != "primary open true; primary open false" {
		t.Errorf("%s", got)
	}
	// Another one. The one before counts among the recent, but one that nobody was told of.
	news(true)
	news(false)
	looked(t, s, func(_ time.Time, _ Incident, recent int) (Telling, error) {
		if recent != 1 {
			t.Errorf("%d recent", recent)
		}
		return Telling{Done: true}, nil
	})
	news(true)
	looked(t, s, func(_ time.Time, is Incident, recent int) (Telling, error) {
		if recent != 1 || is.Told != 0 {
			t.Errorf("%d recent, told %d", recent, is.Told)
		}
		return Telling{}, nil
	})
}

// TestOfManyNodesOneTells: eight nodes open the same incident and look at it at once.
func TestOfManyNodesOneTells(t *testing.T) {
	first, dataSource := migrated(t)
	stores := []*Store{first, opened(t, dataSource)}
	var together sync.WaitGroup
	for i := range 8 {
		s := stores[i%2]
		together.Go(func() {
			if _, err := s.OpenIncident(context.Background(), "connection_paused", "primary", nil); err != nil {
				t.Error(err)
			}
			for range 4 {
				if _, err := s.LookAtIncident(context.Background(), say); err != nil {
					t.Error(err)
				}
			}
		})
	}
	together.Wait()
	if got := messages(t, first); got != "primary open true" {
		t.Error(got)
	}
}

// TestATellingIsTakenUpAfterANodesDeath: one dies in the middle of its decision, one holding what it has taken.
func TestATellingIsTakenUpAfterANodesDeath(t *testing.T) {
	s, dataSource := migrated(t)
	dying := opened(t, dataSource)
	if _, err := s.OpenIncident(t.Context(), "oauth_refused", "primary", nil); err != nil {
		t.Fatal(err)
	}
	ctx, die := context.WithCancel(t.Context())
	_, err := dying.LookAtIncident(ctx, func(now time.Time, is Incident, recent int) (Telling, error) {
		if found, err := s.LookAtIncident(t.Context(), say); found || err != nil {
			t.Errorf("taken twice: %v %v", found, err)
		}
		die()
		return say(now, is, recent)
	})
	if err == nil {
		t.Fatal("the dead node has told")
	}
	got := 0
	for end := time.Now().Add(20 * time.Second); got == 0 && time.Now().Before(end); { // until PostgreSQL knows of the death
		got = looked(t, s, say)
	}
	if got != 1 || messages(t, s) != "primary open true" {
		t.Errorf("looked at %d, told %q", got, messages(t, s))
	}
	if acts, err := dying.TakeActs(t.Context(), 10, time.Minute); err != nil || len(acts) != 1 || acts[0].Kind != ActMessage {
		t.Fatal(acts, err)
	}
	if acts, err := s.TakeActs(t.Context(), 10, time.Minute); err != nil || len(acts) != 0 {
		t.Fatal("taken twice", acts, err)
	}
	pgtest.Exec(t, dataSource, `UPDATE postroom.acts SET taken_until = now() - interval '1 second'`)
	if acts, err := s.TakeActs(t.Context(), 10, time.Minute); err != nil || len(acts) != 1 {
		t.Error("not taken up", acts, err)
	}
}

func TestWhatCannotBeDecidedHoldsNothingUp(t *testing.T) {
	s, _ := migrated(t)
	for _, key := range []string{"bad", "good"} {
		if _, err := s.OpenIncident(t.Context(), "failed_over", key, nil); err != nil {
			t.Fatal(err)
		}
	}
	decide := func(now time.Time, is Incident, recent int) (Telling, error) {
		if is.Key == "bad" {
			return Telling{}, errors.New("no words")
		}
		return say(now, is, recent)
	}
	if _, err := s.LookAtIncident(t.Context(), decide); err == nil || !strings.Contains(err.Error(), "no words") {
		t.Error(err)
	}
	if looked(t, s, decide) != 1 || messages(t, s) != "good open true" {
		t.Error(messages(t, s))
	}
}

func TestWebhooksAreNoShimsAffair(t *testing.T) {
	s, _ := migrated(t)
	if _, err := s.OpenIncident(t.Context(), "failed_over", "primary", nil); err != nil {
		t.Fatal(err)
	}
	looked(t, s, func(time.Time, Incident, int) (Telling, error) {
		return Telling{Message: []byte(`{"text": "m"}`), Webhook: []byte(`{"text": "w"}`)}, nil
	})
	acts, err := s.TakeActs(t.Context(), 10, time.Minute)
	if err != nil || len(acts) != 1 || acts[0].Kind != ActMessage {
		t.Error(acts, err)
	}
	for want := range 2 { // taken, and not taken again
		hooks, err := s.TakeWebhooks(t.Context(), 10, time.Minute)
		if err != nil || len(hooks) != 1-want {
			t.Error(hooks, err)
		}
	}
}

func TestWhichAccountMailWaits(t *testing.T) {
	s, dataSource := migrated(t)
	insert := func(id int, class, state, more string) {
		pgtest.Exec(t, dataSource, fmt.Sprintf(`INSERT INTO postroom.mails (id, kind, class, state, masked_to, locale, message_id, size, expires_at, reason, queued_at, sealed, held_by)
			VALUES ('00000000-0000-0000-0000-%012d', 'reset', '%s', '%s', '', '', '', 1, now() + interval '1 hour', 'reason %d', now() - %d * interval '1 minute',
				CASE WHEN '%[3]s' <> 'sent' THEN '\x00'::bytea END, CASE WHEN '%[3]s' = 'held' THEN 'capture' END)`, id, class, state, id, id))
		if more != "" {
			pgtest.Exec(t, dataSource, fmt.Sprintf(`UPDATE postroom.mails SET `+more+` WHERE reason = 'reason %d'`, id))
		}
	}
	waiting := func() string {
		t.Helper()
		mail, now, err := s.WaitingAccountMail(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if mail.Oldest == nil {
			return "none"
		}
		return fmt.Sprintf("%d since %d min: %s", mail.Waiting, (now.UnixMilli()-*mail.Oldest+30_000)/60_000, mail.Reason)
	}
	insert(60, "notification", "queued", "")
	insert(50, "account", "held", "")
	insert(40, "account", "sent", "finished_at = now()")
	insert(30, "account", "deferred", "expires_at = now()")
	if got := waiting(); got != "none" {
		t.Error(got)
	}
	insert(2, "account", "queued", "")
	insert(7, "account", "deferred", "")
	if got := waiting(); got != "2 since 7 min: reason 7" {
		t.Error(got)
	}
	pgtest.Exec(t, dataSource, `INSERT INTO postroom.river_job (kind, max_attempts, args, created_at) VALUES ('request', 1, '{}', now() - interval '9 minutes')`)
	if got := waiting(); got != "3 since 9 min: " {
		t.Error(got)
	}
}
