package store

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"postroom/server/internal/pgtest"
)

// counts is how many rows there are of each kind that is kept about people.
func counts(t *testing.T, s *Store) string {
	t.Helper()
	var tokens, mails, bodies, limits, jobs, acts int
	if err := s.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM postroom.tokens), (SELECT count(*) FROM postroom.mails),
		(SELECT count(*) FROM postroom.mails WHERE sealed IS NOT NULL), (SELECT count(*) FROM postroom.account_limits),
		(SELECT count(*) FROM postroom.river_job), (SELECT count(*) FROM postroom.acts)`).
		Scan(&tokens, &mails, &bodies, &limits, &jobs, &acts); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("tokens %d, mails %d, bodies %d, limits %d, jobs %d, acts %d", tokens, mails, bodies, limits, jobs, acts)
}

// TestAnAccountIsErased (S26): all that is kept about it, and nothing of anybody else's.
func TestAnAccountIsErased(t *testing.T) {
	s, dataSource := migrated(t)
	user(t, dataSource, "anna", "anna@example.com", "")
	user(t, dataSource, "ben", "ben@example.com", "")
	minted(t, s, "anna", "a", mailOne)
	minted(t, s, "ben", "b", mailTwo)
	pgtest.Exec(t, dataSource, `INSERT INTO postroom.account_limits VALUES ('anna', 'reset', 1), ('ben', 'reset', 9999999999999)`,
		`INSERT INTO postroom.river_job (id, kind, max_attempts, args) VALUES (1, 'request', 1, '{"email": "anna@example.com"}'),
			(2, 'request', 1, '{"email": "ben@example.com"}'), (3, 'send', 1, '{}'), (4, 'send', 1, '{}')`,
		`UPDATE postroom.mails SET job_id = CASE account_id WHEN 'anna' THEN 3 ELSE 4 END`,
		`INSERT INTO postroom.acts (kind, body) VALUES ('audit', '{"facts": {"account_id": "anna"}}'), ('audit', '{"facts": {"account_id": "ben"}}')`)
	if mails, err := s.Erase(t.Context(), "anna"); err != nil || mails != 1 {
		t.Fatal(mails, err)
	}
	if got := counts(t, s); got != "tokens 1, mails 1, bodies 1, limits 1, jobs 2, acts 1" {
		t.Error(got)
	}
	if _, err := s.Mail(t.Context(), mailOne); !errors.Is(err, ErrNotFound) {
		t.Errorf("the mail: %v", err)
	}
}

// TestAccountsThatAreGoneAreFound, however many rows each has, a few at a time.
func TestAccountsThatAreGoneAreFound(t *testing.T) {
	s, dataSource := migrated(t)
	pgtest.Exec(t, dataSource, `INSERT INTO postroom.mails (id, kind, account_id, state, masked_to, locale, message_id, size, expires_at)
		SELECT gen_random_uuid(), 'other', 'account' || lpad((i % 7)::text, 2, '0'), 'sent', '', '', '', 1, now() FROM generate_series(1, 700) i`,
		`INSERT INTO postroom.account_limits VALUES ('limited', 'reset', 1)`)
	look := func() (gone, deactivated string) {
		t.Helper()
		for after := ""; ; {
			accounts, err := s.KnownAccounts(t.Context(), after, 3)
			if err != nil {
				t.Fatal(err)
			}
			for _, account := range accounts {
				after = account.ID
				if account.Gone {
					gone += account.ID + " "
				}
				if account.Deactivated {
					deactivated += account.ID + " "
				}
			}
			if len(accounts) < 3 {
				return gone, deactivated
			}
		}
	}
	// A table of users that is empty is being restored.
	if gone, _ := look(); gone != "" {
		t.Error(gone)
	}
	for i := range 6 {
		user(t, dataSource, fmt.Sprintf("account%02d", i), fmt.Sprintf("%d@example.com", i), "")
	}
	minted(t, s, "account04", "a", mailOne)
	pgtest.Exec(t, dataSource, `UPDATE users SET deleteat = 1 WHERE id IN ('account03', 'account04')`)
	if gone, deactivated := look(); gone != "account06 limited " || deactivated != "account04 " {
		t.Errorf("gone: %s, deactivated: %s", gone, deactivated)
	}
	if err := s.Deactivate(t.Context(), "account04", "why"); err != nil {
		t.Fatal(err)
	}
	if mail, err := s.Mail(t.Context(), mailOne); err != nil || mail.State != StateCancelled || *mail.Reason != "why" || mail.HasBody {
		t.Errorf("%+v, %v", mail, err)
	}
	if _, deactivated := look(); deactivated != "" {
		t.Error("its links live on")
	}
}

func TestPrune(t *testing.T) {
	s, dataSource := migrated(t)
	user(t, dataSource, "anna", "anna@example.com", "")
	digest := minted(t, s, "anna", "a", mailOne)
	mail := func(state, held, body, finished, expires string) {
		pgtest.Exec(t, dataSource, fmt.Sprintf(`INSERT INTO postroom.mails (id, kind, state, held_by, masked_to, locale, message_id, size, expires_at, sealed, finished_at)
			VALUES (gen_random_uuid(), 'other', '%s', %s, '', '', '', 1, now() + interval '%s', %s, %s)`, state, held, expires, body, finished))
	}
	keep := Retention{Mails: 10 * 24 * time.Hour, Bodies: 3 * 24 * time.Hour, Words: "too long"}
	for range pruneAtOnce/1000 + 1 { // more than one statement's worth
		pgtest.Exec(t, dataSource, `INSERT INTO postroom.mails (id, kind, state, masked_to, locale, message_id, size, expires_at, finished_at)
			SELECT gen_random_uuid(), 'other', 'sent', '', '', '', 1, now(), now() - interval '11 days' FROM generate_series(1, 1000)`)
	}
	mail("sent", "NULL", "NULL", "now() - interval '9 days'", "1 day")
	mail("held", "'capture'", "'x'", "now() - interval '4 days'", "1 day")
	mail("held", "'capture'", "'x'", "now() - interval '2 days'", "1 day")
	mail("failed", "NULL", "'x'", "now() - interval '4 days'", "1 day")
	mail("held", "'site_url'", "'x'", "NULL", "-4 days")
	mail("held", "'site_url'", "'x'", "NULL", "-2 days")
	pgtest.Exec(t, dataSource, `UPDATE postroom.tokens SET expires_at = now() - interval '8 days'`,
		`INSERT INTO postroom.account_limits VALUES ('anna', 'reset', 1), ('anna', 'verify', 9999999999999)`)
	if err := s.Prune(t.Context(), keep); err != nil {
		t.Fatal(err)
	}
	// What waits (mailOne) is left alone whatever its age, and so is the younger of each pair.
	if got := counts(t, s); got != "tokens 0, mails 7, bodies 3, limits 1, jobs 0, acts 0" {
		t.Errorf("%s; digest %x", got, digest)
	}
	if found, err := s.Mails(t.Context(), MailFilter{State: StateCancelled}, 10); err != nil || len(found) != 1 || *found[0].Reason != "too long" {
		t.Errorf("%+v, %v", found, err)
	}
}
