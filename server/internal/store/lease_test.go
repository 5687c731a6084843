package store

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postroom/server/internal/pgtest"
)

func TestOneSenderAtATime(t *testing.T) {
	s, dataSource := migrated(t)
	minted(t, s, "anna", "token", mailOne)
	var held atomic.Pointer[Lease]
	var wins atomic.Int32
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			lease, err := s.TakeLease(t.Context(), mailOne, "node", "k", time.Minute)
			if err != nil {
				t.Error(err)
			}
			if lease != nil {
				wins.Add(1)
				held.Store(lease)
			}
		})
	}
	all.Wait()
	if wins.Load() != 1 {
		t.Fatalf("%d senders", wins.Load())
	}
	first := held.Load()
	if is, err := s.Standing(t.Context(), mailOne); err != nil || is.State != StateSending || is.LeaseUntil == nil {
		t.Fatalf("%+v, %v", is, err)
	}
	// It lapses, another takes over, and the first may no longer write (the fence).
	pgtest.Exec(t, dataSource, "UPDATE postroom.mails SET lease_until = now() - interval '1 ms'")
	second, err := s.TakeLease(t.Context(), mailOne, "other", "k", time.Minute)
	if err != nil || second == nil || second.Attempts != 2 {
		t.Fatalf("%+v, %v", second, err)
	}
	if mine, err := s.RenewLease(t.Context(), first, time.Minute); mine || err != nil {
		t.Errorf("the first renews: %v", err)
	}
	if mine, err := s.Finish(t.Context(), first, &Result{State: StateFailed}); mine || err != nil {
		t.Errorf("the first writes: %v", err)
	}
	if mine, err := s.RenewLease(t.Context(), second, time.Minute); !mine || err != nil {
		t.Errorf("the second can't renew: %v", err)
	}
	text := "2.0.0 Ok"
	if mine, err := s.Finish(t.Context(), second, &Result{State: StateSent, Connection: "mattermost", Text: &text}); !mine || err != nil {
		t.Fatalf("the second can't write: %v", err)
	}
	mail, err := s.Mail(t.Context(), mailOne)
	if err != nil || mail.State != StateSent || mail.HasBody || mail.Sealed != nil || mail.FinishedAt == nil || *mail.ReplyText != text {
		t.Errorf("%+v, %v", mail, err)
	}
}

func TestWhatIsNotLeased(t *testing.T) {
	s, dataSource := migrated(t)
	for name, change := range map[string]string{
		"another key":       "UPDATE postroom.mails SET key_id = 'other'",
		"expired":           "UPDATE postroom.mails SET expires_at = now()",
		"its token expired": "UPDATE postroom.tokens SET expires_at = now()",
		"its token is gone": "DELETE FROM postroom.tokens",
		"not due":           "UPDATE postroom.mails SET state = 'deferred', next_attempt_at = now() + interval '5 s'",
		"cancelled":         "UPDATE postroom.mails SET state = 'cancelled', sealed = NULL",
		"held":              "UPDATE postroom.mails SET state = 'held', held_by = 'site_url'",
		"captured":          "UPDATE postroom.mails SET state = 'held', held_by = 'capture'",
		"to be made anew":   "UPDATE postroom.mails SET compose_anew = true",
		"perhaps delivered": "UPDATE postroom.mails SET state = 'perhaps_delivered', next_attempt_at = NULL",
	} {
		t.Run(name, func(t *testing.T) {
			minted(t, s, "anna", "token "+name, mailOne)
			pgtest.Exec(t, dataSource, change)
			if lease, err := s.TakeLease(t.Context(), mailOne, "node", "k", time.Minute); err != nil || lease != nil {
				t.Errorf("%+v, %v", lease, err)
			}
			pgtest.Exec(t, dataSource, "DELETE FROM postroom.mails", "DELETE FROM postroom.tokens")
		})
	}
}

func TestABodyThatIsNoLongerNeededCanNotStay(t *testing.T) {
	s, dataSource := migrated(t)
	minted(t, s, "anna", "token", mailOne)
	conn := pgtest.Connect(t, dataSource)
	defer func() { _ = conn.Close(t.Context()) }()
	for _, state := range []string{"sent", "failed", "cancelled"} {
		if _, err := conn.Exec(t.Context(), "UPDATE postroom.mails SET state = $1", state); err == nil {
			t.Errorf("%s with its body", state)
		}
	}
}

func TestStranded(t *testing.T) {
	s, dataSource := migrated(t)
	minted(t, s, "anna", "token", mailOne)
	stranded := func() (n int) {
		t.Helper()
		err := s.InTx(t.Context(), func(tx pgx.Tx) error {
			ids, err := Stranded(t.Context(), tx, 30*time.Second, 10)
			n = len(ids)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	job := func(state, when string) {
		pgtest.Exec(t, dataSource, `DELETE FROM postroom.river_job`,
			`INSERT INTO postroom.river_job (id, kind, max_attempts, args, state, scheduled_at, attempted_at)
				VALUES (77, 'send', 9, '{}', '`+state+`', `+when+`, `+when+`)`,
			`UPDATE postroom.mails SET job_id = 77`)
	}
	if n := stranded(); n != 0 {
		t.Error("a mail of this second is stranded")
	}
	pgtest.Exec(t, dataSource, `UPDATE postroom.mails SET queued_at = now() - interval '1 hour'`)
	if n := stranded(); n != 1 {
		t.Error("a mail without a job is not")
	}
	for _, c := range []struct {
		state, when string
		want        int
	}{
		{"available", "now() - interval '1 hour'", 0}, // a long queue
		{"running", "now()", 0},
		{"running", "now() - interval '40 s'", 1}, // by a node that died before it took the mail
		{"scheduled", "now() + interval '10 s'", 0},
		{"scheduled", "now() + interval '10 min'", 1}, // by a clock that is off
	} {
		job(c.state, c.when)
		if n := stranded(); n != c.want {
			t.Errorf("%s %s: %d stranded", c.state, c.when, n)
		}
	}
	job("running", "now() - interval '1 s'")
	pgtest.Exec(t, dataSource, `UPDATE postroom.mails SET state = 'sending', lease_until = now() + interval '1 s'`)
	if n := stranded(); n != 0 {
		t.Error("a mail that is being sent is stranded")
	}
	pgtest.Exec(t, dataSource, `UPDATE postroom.mails SET lease_until = now()`)
	if n := stranded(); n != 1 {
		t.Error("a mail whose sender died is not")
	}
}

func TestMailsAreListedNewestFirst(t *testing.T) {
	s, dataSource := migrated(t)
	minted(t, s, "anna", "a", mailOne)
	minted(t, s, "ben", "b", mailTwo)
	pgtest.Exec(t, dataSource, `UPDATE postroom.mails SET queued_at = now() - interval '1 min' WHERE id = '`+mailOne+`'`)
	all, err := s.Mails(contextWithin(t, 5*time.Second), MailFilter{}, 10)
	if err != nil || len(all) != 2 || all[0].ID != mailTwo || all[0].Sealed != nil || !all[0].HasBody {
		t.Fatalf("%+v, %v", all, err)
	}
	older, err := s.Mails(t.Context(), MailFilter{Before: all[0].Cursor()}, 10)
	if err != nil || len(older) != 1 || older[0].ID != mailOne {
		t.Fatalf("%+v, %v", older, err)
	}
	// Of one commit's mails, which have one time, a page's end loses none.
	pgtest.Exec(t, dataSource, `UPDATE postroom.mails SET queued_at = '2026-01-02T03:04:05Z'`)
	first, err := s.Mails(t.Context(), MailFilter{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Mails(t.Context(), MailFilter{Before: first[0].Cursor()}, 1)
	if err != nil || len(second) != 1 || second[0].ID == first[0].ID {
		t.Fatalf("%+v, %v", second, err)
	}
	pgtest.Exec(t, dataSource, `UPDATE postroom.mails SET state = 'deferred' WHERE id = '`+mailTwo+`'`)
	for filter, want := range map[MailFilter]int{
		{State: StateDeferred}: 1, {State: StateSent}: 0, {Kind: "reset"}: 2, {Kind: "verify"}: 0, {Class: ClassAccount}: 2,
		{State: StateQueued, Kind: "reset", Class: ClassAccount}: 1, {Class: ClassInvitation}: 0,
	} {
		if found, err := s.Mails(t.Context(), filter, 10); err != nil || len(found) != want {
			t.Errorf("%+v: %d, %v", filter, len(found), err)
		}
	}
	for _, id := range []string{"", "x", "00000000-0000-4000-8000-00000000000f", "' OR 1=1 --"} {
		if _, err := s.Mail(t.Context(), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
	// Only a captured mail gives its body.
	if mail, err := s.Mail(t.Context(), mailOne); err != nil || mail.Sealed != nil {
		t.Fatalf("%+v, %v", mail, err)
	}
	pgtest.Exec(t, dataSource, `UPDATE postroom.mails SET state = 'held', held_by = 'capture'`)
	if mail, err := s.Mail(t.Context(), mailOne); err != nil || string(mail.Sealed) != "sealed" {
		t.Fatalf("%+v, %v", mail, err)
	}
}
