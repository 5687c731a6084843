package store

import (
	"context"
	"encoding/json"
)

// BeginTrial notes a test of a connection that begins, and forgets those whose node died meanwhile. False where there
// is one of that id already.
func (s *Store) BeginTrial(ctx context.Context, id, userID string) (bool, error) {
	done, err := s.pool.Exec(ctx, `WITH gone AS (DELETE FROM postroom.trials WHERE began_at < now() - interval '10 minutes')
		INSERT INTO postroom.trials (id, user_id) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, id, userID)
	return err == nil && done.RowsAffected() == 1, wrap("note a test", err)
}

// TrialCancelled is whether somebody has broken it off.
func (s *Store) TrialCancelled(ctx context.Context, id string) (bool, error) {
	var cancelled bool
	err := s.pool.QueryRow(ctx, `SELECT coalesce((SELECT cancelled FROM postroom.trials WHERE id = $1), false)`, id).Scan(&cancelled)
	return cancelled, wrap("look after a test", err)
}

// CancelTrial breaks one off, wherever it runs; of another user only for anyone. False where there is none.
func (s *Store) CancelTrial(ctx context.Context, id, userID string, anyone bool) (bool, error) {
	done, err := s.pool.Exec(ctx, `UPDATE postroom.trials SET cancelled = true WHERE id = $1 AND (user_id = $2 OR $3)`, id, userID, anyone)
	return err == nil && done.RowsAffected() == 1, wrap("cancel a test", err)
}

// EndTrial forgets one.
func (s *Store) EndTrial(ctx context.Context, id string) error {
	_, err := s.pool.Exec(ctx, `DELETE FROM postroom.trials WHERE id = $1`, id)
	return wrap("forget a test", err)
}

// Audit hands the shim a record for Mattermost's audit log, where no answer can carry it.
func (s *Store) Audit(ctx context.Context, record AuditRecord) error {
	body, err := json.Marshal(record)
	if err == nil {
		_, err = s.pool.Exec(ctx, insertAct, ActAudit, string(body))
	}
	return wrap("hand over an audit record", err)
}
