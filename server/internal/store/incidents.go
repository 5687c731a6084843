package store

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postroom/server/internal/core"
)

// Incident is something that the system admins are told of.
type Incident struct {
	Kind     string            `json:"kind"`
	Key      string            `json:"key"`
	Facts    map[string]string `json:"facts"`
	OpenedAt time.Time         `json:"opened_at"`
	Told     int               `json:"told"` // how often its opening was
	ClosedAt *time.Time        `json:"closed_at"`
}

// recently is how long one that was told and is over counts among the recent.
const recently = `interval '1 hour'`

// OpenIncident opens an incident, unless it is open. One that was closed and is not over yet goes on. news is whether
// this call opened it, or again.
func (s *Store) OpenIncident(ctx context.Context, kind, key string, facts map[string]string) (news bool, err error) {
	storable := map[string]string{} // PostgreSQL takes every character but NUL
	for fact, value := range facts {
		storable[fact] = strings.ReplaceAll(value, "\x00", "")
	}
	raw, err := json.Marshal(storable)
	if err != nil {
		return false, wrap("open an incident", err)
	}
	// The second statement is for one that is open: its facts may have changed, which is no news.
	batch := &pgx.Batch{}
	batch.Queue(`INSERT INTO postroom.incidents (kind, key, facts) VALUES ($1, $2, $3::jsonb)
		ON CONFLICT (kind, key) WHERE told_closed_at IS NULL
		DO UPDATE SET facts = excluded.facts, closed_at = NULL, look_at = now() WHERE incidents.closed_at IS NOT NULL
		RETURNING true`, kind, key, string(raw)).QueryRow(func(row pgx.Row) error {
		err := row.Scan(&news)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	batch.Queue(`UPDATE postroom.incidents SET facts = $3::jsonb, look_at = now()
		WHERE kind = $1 AND key = $2 AND told_closed_at IS NULL AND facts <> $3::jsonb`, kind, key, string(raw))
	return news, wrap("open an incident", s.pool.SendBatch(ctx, batch).Close())
}

// CloseIncident closes an incident that is open; closed is whether there was one.
func (s *Store) CloseIncident(ctx context.Context, kind, key string) (closed bool, err error) {
	tag, err := s.pool.Exec(ctx, `UPDATE postroom.incidents SET closed_at = now(), look_at = now()
		WHERE kind = $1 AND key = $2 AND closed_at IS NULL`, kind, key)
	return tag.RowsAffected() > 0, wrap("close an incident", err)
}

// Incidents are those that are open, the oldest first.
func (s *Store) Incidents(ctx context.Context) ([]Incident, error) {
	rows, err := s.pool.Query(ctx, `SELECT kind, key, facts, opened_at, told, closed_at FROM postroom.incidents
		WHERE closed_at IS NULL ORDER BY opened_at, id`)
	if err != nil {
		return nil, wrap("list the incidents", err)
	}
	incidents, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Incident])
	return incidents, wrap("list the incidents", err)
}

// Telling is what is done about an incident: with a Message the admins are told of it, and the webhook with a Webhook.
// LookAt is when to look again if nothing happens before.
type Telling struct {
	Message, Webhook []byte // JSON
	LookAt           *time.Time
	Done             bool
}

// LookAtIncident takes an incident that is due, has decide say what is done about it, and does that, all in one
// transaction: no other node takes it meanwhile, and a node that dies has done nothing. found is whether there was one.
// An error of decide's changes nothing but when the next look is.
func (s *Store) LookAtIncident(ctx context.Context, decide func(now time.Time, incident Incident, recent int) (Telling, error)) (found bool, err error) {
	var refused error
	err = s.InTx(ctx, func(tx pgx.Tx) error {
		var id int64
		var now time.Time
		var recent int
		var is Incident
		err := tx.QueryRow(ctx, `SELECT i.id, i.kind, i.key, i.facts, i.opened_at, i.told, i.closed_at, now(),
				(SELECT count(*) FROM postroom.incidents r WHERE r.kind = i.kind AND r.key = i.key AND r.told > 0
					AND r.told_closed_at > now() - `+recently+`)
			FROM postroom.incidents i WHERE i.told_closed_at IS NULL AND i.look_at <= now()
			ORDER BY i.look_at, i.id LIMIT 1 FOR UPDATE OF i SKIP LOCKED`).
			Scan(&id, &is.Kind, &is.Key, &is.Facts, &is.OpenedAt, &is.Told, &is.ClosedAt, &now, &recent)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		found = true
		telling, err := decide(now, is, recent)
		if err != nil {
			refused = err
			telling = Telling{LookAt: new(now.Add(time.Minute))}
		}
		return tell(ctx, tx, id, &telling)
	})
	if err == nil {
		err = refused
	}
	return found && err == nil, wrap("look at an incident", err)
}

func tell(ctx context.Context, tx pgx.Tx, id int64, telling *Telling) error {
	batch := &pgx.Batch{}
	if telling.Message != nil {
		batch.Queue(insertAct, ActMessage, string(telling.Message))
	}
	if telling.Webhook != nil {
		batch.Queue(insertAct, ActWebhook, string(telling.Webhook))
	}
	batch.Queue(`UPDATE postroom.incidents SET look_at = $2, told = told + ($3 AND NOT $4)::integer,
			told_at = CASE WHEN $3 AND NOT $4 THEN coalesce(told_at, now()) ELSE told_at END,
			told_closed_at = CASE WHEN $4 THEN now() END
		WHERE id = $1`, id, telling.LookAt, telling.Message != nil, telling.Done)
	return tx.SendBatch(ctx, batch).Close()
}

// WaitingAccountMail is the account mail that may leave and has not: what is captured or held for a decision, and what
// has come to its end, is none. With it comes PostgreSQL's time.
func (s *Store) WaitingAccountMail(ctx context.Context) (core.AccountMail, time.Time, error) {
	var mail core.AccountMail
	var now time.Time
	var oldest *time.Time
	err := s.pool.QueryRow(ctx, `WITH waits AS MATERIALIZED (
			SELECT queued_at, reason FROM postroom.mails
			WHERE finished_at IS NULL AND class = 'account' AND kind <> 'test' AND state <> 'held' AND expires_at > now()
			UNION ALL SELECT created_at, NULL FROM postroom.river_job
			WHERE kind = $1 AND state IN ('available', 'pending', 'retryable', 'running', 'scheduled'))
		SELECT now(), min(queued_at), count(*), coalesce((SELECT reason FROM waits ORDER BY queued_at LIMIT 1), '') FROM waits`, JobRequest).
		Scan(&now, &oldest, &mail.Waiting, &mail.Reason)
	if oldest != nil {
		mail.Oldest = new(oldest.UnixMilli())
	}
	return mail, now, wrap("look for account mail that waits", err)
}
