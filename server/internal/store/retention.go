package store

import (
	"context"
	"time"
)

// Retention is how long rows outlive their use.
type Retention struct {
	Mails  time.Duration // a mail's row, for the list
	Bodies time.Duration // a captured mail's, or one's that failed and may be sent again; and a hold that nobody decides
	Words  string        // why a mail ended that was held too long
}

// A link that expired is told so for a week, and a limit is forgotten when it has long been full again.
const (
	keepExpiredTokens = 7 * 24 * time.Hour
	keepLimits        = 7 * 24 * time.Hour
	// What is known of a connection whose settings are not in force any more; of one that is not well it is written anew
	// every half hour.
	keepConnections = 7 * 24 * time.Hour
	// pruneAtOnce bounds a statement, whatever has come together while it could not run.
	pruneAtOnce = 2000
)

// Prune removes what nobody needs any more.
func (s *Store) Prune(ctx context.Context, keep Retention) error {
	for _, step := range []struct {
		sql  string
		args []any
	}{
		{`DELETE FROM postroom.tokens WHERE digest IN (SELECT digest FROM postroom.tokens
			WHERE expires_at < now() - $2::interval LIMIT $1)`, []any{keepExpiredTokens}},
		{`DELETE FROM postroom.mails WHERE id IN (SELECT id FROM postroom.mails
			WHERE finished_at < now() - $2::interval LIMIT $1)`, []any{keep.Mails}},
		{`UPDATE postroom.mails SET sealed = NULL WHERE id IN (SELECT id FROM postroom.mails
			WHERE sealed IS NOT NULL AND finished_at < now() - $2::interval LIMIT $1)`, []any{keep.Bodies}},
		{`UPDATE postroom.mails m SET state = 'cancelled', ` + ended + `, reason = $3 WHERE m.id IN (SELECT id FROM postroom.mails
			WHERE held_by = 'site_url' AND finished_at IS NULL AND expires_at < now() - $2::interval LIMIT $1)`, []any{keep.Bodies, keep.Words}},
		{`DELETE FROM postroom.account_limits WHERE (account_id, kind) IN (SELECT account_id, kind FROM postroom.account_limits
			WHERE tat_ms < (extract(epoch FROM now() - $2::interval) * 1000)::bigint LIMIT $1)`, []any{keepLimits}},
		{`DELETE FROM postroom.connections WHERE (name, mark) IN (SELECT name, mark FROM postroom.connections
			WHERE changed_at < now() - $2::interval LIMIT $1)`, []any{keepConnections}},
		{`DELETE FROM postroom.incidents WHERE id IN (SELECT id FROM postroom.incidents
			WHERE told_closed_at < now() - $2::interval LIMIT $1)`, []any{keep.Mails}},
		{`DELETE FROM postroom.acts WHERE id IN (SELECT id FROM postroom.acts
			WHERE created_at < now() - $2::interval LIMIT $1)`, []any{keep.Mails}},
	} {
		for {
			tag, err := s.pool.Exec(ctx, step.sql, append([]any{pruneAtOnce}, step.args...)...)
			if err != nil {
				return wrap("prune", err)
			}
			if tag.RowsAffected() < pruneAtOnce {
				break
			}
		}
	}
	return nil
}
