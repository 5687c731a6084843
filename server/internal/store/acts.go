package store

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Act is something that waits to be done elsewhere: what only the shim can (an audit record, a message), or the webhook.
type Act struct {
	ID        int64           `json:"id"`
	Kind      string          `json:"kind"`
	Body      json.RawMessage `json:"body"`
	CreatedAt time.Time       `json:"created_at"`
}

// Kinds of acts.
const (
	ActAudit   = "audit"   // the body is an AuditRecord
	ActMessage = "message" // to the system admins
	// ActWebhook waits for a service, not for a shim.
	ActWebhook = "webhook"
)

// AuditRecord is S33's: who asked, from where, what was decided. It holds no token and no unmasked address.
type AuditRecord struct {
	Event         string            `json:"event"`   // e.g. "requestPasswordReset"
	Status        string            `json:"status"`  // "success" or "fail"
	UserID        string            `json:"user_id"` // who asked, empty when not logged in
	ClientAddress string            `json:"client_address"`
	UserAgent     string            `json:"user_agent"`
	RequestID     string            `json:"request_id"`
	At            int64             `json:"at"` // ms since the epoch
	Facts         map[string]string `json:"facts"`
}

const insertAct = `INSERT INTO postroom.acts (kind, body) VALUES ($1, $2::jsonb)`

// TakeActs takes up to limit of the oldest acts that a shim does for the length of lease: nobody else gets them
// meanwhile.
func (s *Store) TakeActs(ctx context.Context, limit int, lease time.Duration) ([]Act, error) {
	return s.takeActs(ctx, limit, lease, `kind <> '`+ActWebhook+`'`)
}

// TakeWebhooks takes what the webhook is to be told, likewise.
func (s *Store) TakeWebhooks(ctx context.Context, limit int, lease time.Duration) ([]Act, error) {
	return s.takeActs(ctx, limit, lease, `kind = '`+ActWebhook+`'`)
}

func (s *Store) takeActs(ctx context.Context, limit int, lease time.Duration, which string) ([]Act, error) {
	rows, err := s.pool.Query(ctx, `UPDATE postroom.acts a SET taken_until = now() + $2::interval
		FROM (SELECT id FROM postroom.acts WHERE `+which+` AND (taken_until IS NULL OR taken_until <= now())
			ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED) free
		WHERE a.id = free.id RETURNING a.id, a.kind, a.body::text, a.created_at`, max(1, limit), lease)
	if err != nil {
		return nil, wrap("take acts", err)
	}
	acts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Act, error) {
		var act Act
		var body string
		err := row.Scan(&act.ID, &act.Kind, &body, &act.CreatedAt)
		act.Body = json.RawMessage(body)
		return act, err
	})
	slices.SortFunc(acts, func(a, b Act) int { return int(a.ID - b.ID) })
	return acts, wrap("take acts", err)
}

// DoneActs removes acts that were done.
func (s *Store) DoneActs(ctx context.Context, ids []int64) error {
	_, err := s.pool.Exec(ctx, `DELETE FROM postroom.acts WHERE id = ANY($1)`, ids)
	return wrap("remove acts that were done", err)
}
