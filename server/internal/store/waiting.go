package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Queue is what waits, on all nodes.
type Queue struct {
	Mails         []Waiting     `json:"mails"`
	Requests      int64         `json:"requests"`          // that were accepted and not worked on yet
	OldestAccount time.Duration `json:"oldest_account_ns"` // how long the oldest account mail or request has waited; 0 for none
}

// Waiting is how many mails of a class and kind wait in a state.
type Waiting struct {
	Class string `json:"class"`
	Kind  string `json:"kind"`
	State string `json:"state"`
	Mails int64  `json:"mails"`
}

// Queue reads what waits, on all nodes: mails that have not reached their end, and accepted requests.
func (s *Store) Queue(ctx context.Context) (Queue, error) {
	var queue Queue
	var oldestMail, oldestRequest *time.Duration
	batch := &pgx.Batch{}
	batch.Queue(`SELECT class, kind, state, count(*) FROM postroom.mails WHERE finished_at IS NULL GROUP BY class, kind, state`).
		Query(func(rows pgx.Rows) error {
			var err error
			queue.Mails, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Waiting])
			return err
		})
	batch.Queue(`SELECT now() - min(queued_at) FROM postroom.mails WHERE finished_at IS NULL AND class = 'account'`).
		QueryRow(func(row pgx.Row) error { return row.Scan(&oldestMail) })
	batch.Queue(`SELECT count(*), now() - min(created_at) FROM postroom.river_job WHERE kind = $1
			AND state IN ('available', 'pending', 'retryable', 'running', 'scheduled')`, JobRequest).
		QueryRow(func(row pgx.Row) error { return row.Scan(&queue.Requests, &oldestRequest) })
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return queue, wrap("read what waits", err)
	}
	queue.OldestAccount = max(or(oldestMail, 0), or(oldestRequest, 0))
	return queue, nil
}

// DatabaseFacts are what a support packet says of the database.
type DatabaseFacts struct {
	Server      string           `json:"server"` // PostgreSQL's version
	Schema      int              `json:"schema"` // the newest migration
	Octets      int64            `json:"octets"` // of the schema's tables, with their indexes
	Connections int32            `json:"connections"`
	MostAtOnce  int32            `json:"most_at_once"`
	Jobs        map[string]int64 `json:"jobs"` // River's, by kind and state
}

// DatabaseFacts gathers them.
func (s *Store) DatabaseFacts(ctx context.Context) (DatabaseFacts, error) {
	facts := DatabaseFacts{Jobs: map[string]int64{}, MostAtOnce: s.pool.Config().MaxConns, Connections: s.pool.Stat().TotalConns()}
	batch := &pgx.Batch{}
	batch.Queue(`SELECT current_setting('server_version'), (SELECT max(version) FROM postroom.schema_version),
			(SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
				WHERE c.relnamespace = to_regnamespace('postroom') AND c.relkind = 'r')`).
		QueryRow(func(row pgx.Row) error { return row.Scan(&facts.Server, &facts.Schema, &facts.Octets) })
	batch.Queue(`SELECT kind || ' ' || state::text, count(*) FROM postroom.river_job GROUP BY 1`).
		Query(func(rows pgx.Rows) error {
			var what string
			var jobs int64
			_, err := pgx.ForEachRow(rows, []any{&what, &jobs}, func() error {
				facts.Jobs[what] = jobs
				return nil
			})
			return err
		})
	return facts, wrap("read what there is to know of the database", s.pool.SendBatch(ctx, batch).Close())
}

// Troubled are the newest mails that failed, are tried again or were perhaps delivered.
func (s *Store) Troubled(ctx context.Context, limit int) ([]Mail, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+mailColumns+` FROM postroom.mails m
		WHERE m.state IN ('failed', 'deferred', 'perhaps_delivered') ORDER BY m.queued_at DESC, m.id DESC LIMIT $1`, limit)
	if err != nil {
		return nil, wrap("list the mails in trouble", err)
	}
	mails, err := pgx.CollectRows(rows, scanListed)
	return mails, wrap("list the mails in trouble", err)
}

// scanListed reads a mail as lists show it: without its body.
func scanListed(row pgx.CollectableRow) (Mail, error) {
	var mail Mail
	err := row.Scan(mail.targets()...)
	mail.Sealed = nil
	return mail, err
}
