package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// outstanding is whether anything waits to be sent or decided.
const outstanding = `EXISTS (SELECT 1 FROM postroom.mails m WHERE m.finished_at IS NULL AND m.sealed IS NOT NULL)
	OR EXISTS (SELECT 1 FROM postroom.river_job j WHERE j.kind = '` + JobRequest + `'
		AND j.state IN ('available', 'pending', 'retryable', 'running', 'scheduled'))`

// guardLock is the advisory lock under which nodes look at and change the guard ("siteurl" in ASCII).
const guardLock int64 = 0x73697465_75726c

// Guard compares siteURL with the one that the outbox was filled under, and gives the latter. Where they differ, held
// is true, unless nothing is outstanding and siteURL takes its place.
//
// otherSite is the reason that a held mail is given.
//
// only has a node look and no more: it may just be late to hear of a new SiteURL, and undoes nothing. Otherwise
// everything outstanding is held where they differ, and what was held is released where they agree (again).
func (s *Store) Guard(ctx context.Context, siteURL, otherSite string, only bool) (filledFor string, held bool, err error) {
	err = s.InTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, guardLock); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `SELECT site_url FROM postroom.guard`).Scan(&filledFor)
		if errors.Is(err, pgx.ErrNoRows) {
			filledFor = siteURL
			if siteURL == "" { // not set yet: nothing to guard by
				return nil
			}
			return setGuard(ctx, tx, siteURL)
		}
		if err != nil {
			return err
		}
		if filledFor == siteURL {
			if !only {
				_, err = tx.Exec(ctx, `UPDATE postroom.mails m SET state = 'queued', held_by = NULL, reason = NULL,
					next_attempt_at = NULL WHERE m.state = 'held' AND m.held_by = 'site_url'`)
			}
			return err
		}
		var waits bool
		if err := tx.QueryRow(ctx, `SELECT `+outstanding).Scan(&waits); err != nil {
			return err
		}
		switch {
		case !waits && siteURL == "":
			return nil
		case !waits && !only:
			filledFor = siteURL
			return setGuard(ctx, tx, siteURL)
		case only:
			held = true
			return nil
		}
		held = true
		// What someone is sending at this moment (not in a copy of a database) is past holding.
		_, err = tx.Exec(ctx, `UPDATE postroom.mails m SET state = 'held', held_by = 'site_url', lease_owner = NULL,
				lease_until = NULL, fence = m.fence + 1, perhaps = `+perhaps+`,
				reason = $1
			WHERE m.finished_at IS NULL AND m.sealed IS NOT NULL AND m.state <> 'held'
				AND (m.state <> 'sending' OR m.lease_until <= now())`, otherSite)
		return err
	})
	return filledFor, held, wrap("compare the SiteURL with the outbox's", err)
}

func setGuard(ctx context.Context, tx pgx.Tx, siteURL string) error {
	_, err := tx.Exec(ctx, `INSERT INTO postroom.guard (site_url) VALUES ($1)
		ON CONFLICT (singleton) DO UPDATE SET site_url = excluded.site_url, changed_at = now()`, siteURL)
	return err
}

// Decide makes siteURL the outbox's own. goOn puts what was held back into the queue, mails with a link of ours to be
// composed anew for it; otherwise what was held is cancelled, with the tokens in it and with that reason, and
// the requests that wait are dropped.
func (s *Store) Decide(ctx context.Context, siteURL, discarded string, goOn bool) error {
	return wrap("decide over held mail", s.InTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, guardLock); err != nil {
			return err
		}
		if err := setGuard(ctx, tx, siteURL); err != nil {
			return err
		}
		batch := &pgx.Batch{}
		if goOn {
			batch.Queue(`UPDATE postroom.mails m SET state = 'queued', held_by = NULL, reason = NULL,
				compose_anew = m.token_digest IS NOT NULL,
				next_attempt_at = NULL WHERE m.state = 'held' AND m.held_by = 'site_url'`)
		} else {
			batch.Queue(`DELETE FROM postroom.tokens t USING postroom.mails m
				WHERE m.token_digest = t.digest AND m.state = 'held' AND m.held_by = 'site_url'`)
			batch.Queue(`UPDATE postroom.mails m SET `+cancelled+`, reason = $1
				WHERE m.state = 'held' AND m.held_by = 'site_url'`, discarded)
			batch.Queue(`DELETE FROM postroom.river_job WHERE kind IN ('` + JobRequest + `', '` + JobSend + `')
				AND state IN ('available', 'pending', 'retryable', 'running', 'scheduled')`)
		}
		return tx.SendBatch(ctx, batch).Close()
	}))
}
