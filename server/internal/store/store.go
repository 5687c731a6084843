// Package store keeps Postroom's rows in Mattermost's own PostgreSQL, in the schema "postroom": tokens (digests
// only), mails, limits, acts that wait for the shim, and the SiteURL under which all this was written. It also
// reads Mattermost's users and puts short-lived rows into Mattermost's tokens. It decides nothing but who holds
// a claim or a lease, and that by PostgreSQL's clock.
package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Schema is where everything of Postroom's and River's lies.
const Schema = "postroom"

const poolSize = 8

// Store is a pool of at most 8 connections. It is safe for concurrent use.
type Store struct {
	pool     *pgxpool.Pool
	migrated atomic.Bool
}

// Open reads the DataSource (a URL or key=value pairs) and makes the pool; it does not connect yet. An error
// names what is wrong with the DataSource, never its password.
func Open(ctx context.Context, dataSource string) (*Store, error) {
	config, err := poolConfig(dataSource)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, errors.New("make the connection pool: PostgreSQL's driver refuses its settings")
	}
	return &Store{pool: pool}, nil
}

// poolConfig reads Mattermost's DataSource as pgx understands it.
func poolConfig(dataSource string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(dataSource)
	if err != nil {
		// The driver's error quotes the DataSource; its own redaction does not cover every malformed one.
		return nil, errors.New("SqlSettings.DataSource can't be read as a PostgreSQL URL or as key=value pairs; mend it in Mattermost's configuration")
	}
	// Words of lib/pq's, which pgx would hand to PostgreSQL, which refuses the connection over them.
	for _, word := range []string{"binary_parameters", "disable_prepared_binary_result"} {
		delete(config.ConnConfig.RuntimeParams, word)
	}
	config.ConnConfig.RuntimeParams["application_name"] = "postroom"
	if config.ConnConfig.ConnectTimeout <= 0 || config.ConnConfig.ConnectTimeout > 10*time.Second {
		config.ConnConfig.ConnectTimeout = 10 * time.Second
	}
	config.MaxConns = poolSize
	config.MinConns = 0
	config.MaxConnIdleTime = 5 * time.Minute
	config.HealthCheckPeriod = 15 * time.Second
	// Set after connecting and not in the start-up packet, in which a PgBouncer refuses what it does not know.
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false),
			set_config('statement_timeout', '30s', false), set_config('lock_timeout', '10s', false),
			set_config('idle_in_transaction_session_timeout', '60s', false)`)
		return err
	}
	return config, nil
}

// Close closes the pool.
func (s *Store) Close() { s.pool.Close() }

// Pool is the pool itself, for River.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

// Ping tells whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.pool.Ping(ctx) }

// Now is PostgreSQL's clock, by which every lease, claim and lifetime is measured.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	var now time.Time
	err := s.pool.QueryRow(ctx, `SELECT now()`).Scan(&now)
	return now, err
}

// InTx runs work in one transaction, committed when work returns nil.
func (s *Store) InTx(ctx context.Context, work func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, s.pool, work)
}

// queryer is what a pool and a transaction have in common.
type queryer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// millis gives a point in time as the core wants it.
func millis(t time.Time) int64 { return t.UnixMilli() }

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
