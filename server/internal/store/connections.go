package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"postroom/server/internal/core"
)

// Connection names one, under a mark of its settings.
type Connection struct{ Name, Mark string }

// ConnectionHealth is how one does. Revision is 0 where there is no row.
type ConnectionHealth struct {
	Health   *core.Health
	Revision int64
}

// ConnectionsHealth reads how connections do. All rows are read: there are a few.
func (s *Store) ConnectionsHealth(ctx context.Context) (map[Connection]ConnectionHealth, error) {
	rows, err := s.pool.Query(ctx, `SELECT name, mark, health, revision FROM postroom.connections`)
	if err != nil {
		return nil, wrap("read how the connections do", err)
	}
	all := map[Connection]ConnectionHealth{}
	var of Connection
	var raw []byte
	var revision int64
	_, err = pgx.ForEachRow(rows, []any{&of.Name, &of.Mark, &raw, &revision}, func() error {
		var health core.Health
		if err := json.Unmarshal(raw, &health); err != nil {
			return err
		}
		all[of] = ConnectionHealth{&health, revision}
		return nil
	})
	return all, wrap("read how the connections do", err)
}

// SaveHealth writes how a connection does in the place of what was read with that revision; false says that another has
// written since.
func (s *Store) SaveHealth(ctx context.Context, of Connection, health *core.Health, revision int64) (bool, error) {
	raw, err := json.Marshal(health)
	if err != nil {
		return false, err
	}
	const insert = `INSERT INTO postroom.connections (name, mark, health) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
	const update = `UPDATE postroom.connections SET health = $3, revision = revision + 1, changed_at = now()
		WHERE name = $1 AND mark = $2 AND revision = $4`
	statement, args := update, []any{of.Name, of.Mark, raw, revision}
	if revision == 0 {
		statement, args = insert, args[:3]
	}
	tag, err := s.pool.Exec(ctx, statement, args...)
	return tag.RowsAffected() == 1, wrap("note how a connection does", err)
}

// BeginProbe lets one node ask whether a connection does again, for that long.
func (s *Store) BeginProbe(ctx context.Context, of Connection, revision int64, within time.Duration) (bool, error) {
	tag, err := s.pool.Exec(ctx, `UPDATE postroom.connections SET probing = now() + $4::interval
		WHERE name = $1 AND mark = $2 AND revision = $3 AND probing <= now()`, of.Name, of.Mark, revision, within)
	return tag.RowsAffected() == 1, wrap("begin to ask a connection whether it does again", err)
}

// EndProbe lets the next probe be by any node.
func (s *Store) EndProbe(ctx context.Context, of Connection) error {
	_, err := s.pool.Exec(ctx, `UPDATE postroom.connections SET probing = '-infinity' WHERE name = $1 AND mark = $2`, of.Name, of.Mark)
	return wrap("end asking a connection", err)
}

// WaitForConnection has a mail that nobody is sending wait until then, or until BringForward.
func WaitForConnection(ctx context.Context, tx pgx.Tx, mailID string, until time.Time, reason string) error {
	_, err := tx.Exec(ctx, `UPDATE postroom.mails m SET next_attempt_at = $2, waits = true, reason = $3,
			state = CASE m.state WHEN 'sending' THEN 'queued' ELSE m.state END, perhaps = `+perhaps+`,
			lease_owner = NULL, lease_until = NULL
		WHERE m.id = $1::uuid AND m.state <> 'held' AND (`+waiting+` OR `+abandoned+`)`, mailID, until, reason)
	return wrap("have the mail wait for a connection", err)
}

// ReleaseToWait gives a mail back of which the connection took no notice, as if this attempt had not been, to wait until
// then or until BringForward; false says that the lease was lost.
func ReleaseToWait(ctx context.Context, tx pgx.Tx, lease *Lease, r *Result) (bool, error) {
	tag, err := tx.Exec(ctx, `UPDATE postroom.mails m SET state = 'deferred', lease_owner = NULL, lease_until = NULL,
			attempts = m.attempts - 1, waits = true, next_attempt_at = $3, connection = $4, step = $5, reply_code = $6, enhanced = $7,
			reply_text = $8, reason = $9
		WHERE m.id = $1::uuid AND m.fence = $2 AND m.state = 'sending'`,
		lease.MailID, lease.Fence, r.Next, r.Connection, r.Step, r.Code, r.Enhanced, r.Text, r.Reason)
	return tag.RowsAffected() == 1, wrap("have the mail wait for a connection", err)
}

// BringForward lets mails that wait for a connection go now, those that came first before the others, and says how many
// at most `atOnce`.
func (s *Store) BringForward(ctx context.Context, atOnce int) (int64, error) {
	tag, err := s.pool.Exec(ctx, `WITH mine AS (UPDATE postroom.mails SET waits = false, next_attempt_at = now() WHERE id IN
			(SELECT id FROM postroom.mails WHERE waits AND state IN ('queued', 'deferred', 'perhaps_delivered')
				ORDER BY queued_at LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING job_id, queued_at)
		UPDATE postroom.river_job j SET state = 'available', scheduled_at = least(mine.queued_at, now()) FROM mine
			WHERE j.id = mine.job_id AND j.state IN ('scheduled', 'available', 'retryable')`, atOnce)
	return tag.RowsAffected(), wrap("let mails go that waited for a connection", err)
}
