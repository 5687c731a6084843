package store

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Erase removes everything kept about an account: tokens, mails and their jobs, limits, requests that wait, audit
// records on their way. It gives the number of mails. One that is being sent at this moment has gone out of our hands;
// its row goes too.
func (s *Store) Erase(ctx context.Context, accountID string) (mails int64, err error) {
	err = s.InTx(ctx, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue(`DELETE FROM postroom.river_job j WHERE j.kind = $2 AND j.state <> 'running'
			AND (j.args->>'user_id' = $1 OR j.args->>'email' = (SELECT u.email FROM users u WHERE u.id = $1))`, accountID, JobRequest)
		batch.Queue(`DELETE FROM postroom.river_job j USING postroom.mails m
			WHERE m.account_id = $1 AND j.id = m.job_id AND j.kind = $2 AND j.state <> 'running'`, accountID, JobSend)
		batch.Queue(`DELETE FROM postroom.tokens WHERE account_id = $1`, accountID)
		batch.Queue(`DELETE FROM postroom.mails WHERE account_id = $1`, accountID)
		batch.Queue(`DELETE FROM postroom.account_limits WHERE account_id = $1`, accountID)
		batch.Queue(`DELETE FROM postroom.acts WHERE body->'facts'->>'account_id' = $1 OR body->>'user_id' = $1`, accountID)
		results := tx.SendBatch(ctx, batch)
		defer func() { _ = results.Close() }()
		for i := range batch.Len() {
			tag, err := results.Exec()
			if err != nil {
				return err
			}
			if i == 3 {
				mails = tag.RowsAffected()
			}
		}
		return results.Close()
	})
	return mails, wrap("erase an account's rows", err)
}

// Deactivate kills an account's links and cancels its account mail that waits, with that reason.
func (s *Store) Deactivate(ctx context.Context, accountID, reason string) error {
	return wrap("end an account's links", s.InTx(ctx, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue(`UPDATE postroom.mails m SET `+cancelled+`, reason = $2
			WHERE m.account_id = $1 AND m.token_digest IS NOT NULL AND `+waiting, accountID, reason)
		batch.Queue(`DELETE FROM postroom.tokens WHERE account_id = $1`, accountID)
		return tx.SendBatch(ctx, batch).Close()
	}))
}

// KnownAccount is one that rows are kept about.
type KnownAccount struct {
	ID          string
	Gone        bool // Mattermost has it no more
	Deactivated bool // and it has links that live
}

// KnownAccounts are up to limit accounts that rows are kept about, in the order of their ids after that one. Where
// Mattermost's table has nobody in it at all, nobody is said to be gone: it is being restored.
func (s *Store) KnownAccounts(ctx context.Context, after string, limit int) ([]KnownAccount, error) {
	// From one account to the next by an index, however many rows each has.
	const next = `SELECT min(id) FROM (SELECT min(account_id) AS id FROM postroom.mails WHERE account_id > %
		UNION ALL SELECT min(account_id) FROM postroom.tokens WHERE account_id > %
		UNION ALL SELECT min(account_id) FROM postroom.account_limits WHERE account_id > %) each`
	rows, err := s.pool.Query(ctx, `WITH RECURSIVE known (id, n) AS (
			SELECT (`+strings.ReplaceAll(next, "%", "$1::text")+`), 1
			UNION ALL SELECT (`+strings.ReplaceAll(next, "%", "k.id")+`), k.n + 1 FROM known k WHERE k.id IS NOT NULL AND k.n < $2)
		SELECT k.id, u.id IS NULL AND EXISTS (SELECT 1 FROM users), coalesce(u.deleteat, 0) <> 0
			AND EXISTS (SELECT 1 FROM postroom.tokens t WHERE t.account_id = k.id)
		FROM known k LEFT JOIN users u ON u.id = k.id WHERE k.id IS NOT NULL ORDER BY k.id`, after, limit)
	if err != nil {
		return nil, wrap("look for accounts that are gone", err)
	}
	known, err := pgx.CollectRows(rows, pgx.RowToStructByPos[KnownAccount])
	return known, wrap("look for accounts that are gone", err)
}

// DropStaleRequests removes requests that have waited for long for an address that nobody has: an account's that is
// gone, whose request would be skipped.
func (s *Store) DropStaleRequests(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, `DELETE FROM postroom.river_job WHERE id IN (SELECT j.id FROM postroom.river_job j
		WHERE j.kind = $1 AND j.state <> 'running' AND j.created_at < now() - interval '30 minutes'
			AND NOT EXISTS (SELECT 1 FROM users u WHERE u.email = j.args->>'email') LIMIT $2)`, JobRequest, pruneAtOnce)
	return wrap("drop requests of nobody's", err)
}
