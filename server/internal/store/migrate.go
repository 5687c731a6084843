package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// SchemaError is a database in which Postroom can't work until a person mends it.
type SchemaError struct {
	Problem string // what is wrong
	Mend    string // what to do, with the SQL where there is any
	Cause   error  // PostgreSQL's error, or nil
}

// Error is the problem and its mend in one line.
func (e *SchemaError) Error() string { return e.Problem + " " + e.Mend }

// Unwrap gives PostgreSQL's own error.
func (e *SchemaError) Unwrap() error { return e.Cause }

// migrationLock is the advisory lock under which nodes that start at once take turns ("postroom" in ASCII).
const migrationLock int64 = 0x706f7374726f6f6d

// Migrate brings the schema to this version's state; several nodes may call it at once.
// A *SchemaError says what a person must mend; any other error is the database being out of reach for now.
func (s *Store) Migrate(ctx context.Context) error {
	steps, err := readMigrations(migrationFiles)
	if err != nil {
		return err
	}
	err = s.takingTurns(ctx, func(tx pgx.Tx) error { return s.migrate(ctx, tx, steps) })
	if err == nil {
		// River's come after ours are committed, each in a transaction of its own: one of them adds a value to a
		// type, and a later one uses it, which PostgreSQL allows in no single transaction.
		err = s.takingTurns(ctx, func(tx pgx.Tx) error { return s.migrateRiver(ctx, tx) })
	}
	if err == nil {
		s.migrated.Store(true)
		return nil
	}
	return s.explain(ctx, err)
}

// Migrated is whether Migrate has succeeded in this process.
func (s *Store) Migrated() bool { return s.migrated.Load() }

// takingTurns runs work while no other node migrates. The lock goes with the transaction, and so with its node.
func (s *Store) takingTurns(ctx context.Context, work func(pgx.Tx) error) error {
	return s.InTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT set_config('lock_timeout', '60s', true), set_config('statement_timeout', '120s', true),
			set_config('idle_in_transaction_session_timeout', '120s', true)`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, migrationLock); err != nil {
			return err
		}
		return work(tx)
	})
}

func (s *Store) migrate(ctx context.Context, tx pgx.Tx, steps []step) error {
	var exists, usable bool
	err := tx.QueryRow(ctx, `SELECT n IS NOT NULL, coalesce(has_schema_privilege(n, 'USAGE, CREATE'), false)
		FROM (SELECT to_regnamespace('postroom')::oid AS n) s`).Scan(&exists, &usable)
	if err != nil {
		return err
	}
	if !exists {
		if _, err := tx.Exec(ctx, `CREATE SCHEMA postroom`); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS postroom.schema_version
		(version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`); err != nil {
		return err
	}
	var at int
	if err := tx.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM postroom.schema_version`).Scan(&at); err != nil {
		return err
	}
	if newest := steps[len(steps)-1].version; at > newest {
		return tooNew("postroom.schema_version", at, newest)
	}
	for _, step := range steps {
		if step.version <= at {
			continue
		}
		if _, err := tx.Exec(ctx, step.sql); err != nil {
			return fmt.Errorf("migration %d: %w", step.version, err)
		}
		if _, err := tx.Exec(ctx, `INSERT INTO postroom.schema_version (version) VALUES ($1)`, step.version); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) migrateRiver(ctx context.Context, tx pgx.Tx) error {
	migrator, err := rivermigrate.New(riverpgxv5.New(s.pool), &rivermigrate.Config{
		Schema: Schema, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	known := migrator.AllVersions()
	newest := known[len(known)-1].Version
	// Asked directly: River's own reader refuses a version it does not know with an error of no type.
	var table *string
	if err := tx.QueryRow(ctx, `SELECT to_regclass('postroom.river_migration')::text`).Scan(&table); err != nil {
		return err
	}
	if table != nil {
		var at int
		if err := tx.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM postroom.river_migration`).Scan(&at); err != nil {
			return err
		}
		if at > newest {
			return tooNew("postroom.river_migration", at, newest)
		}
		if at == newest {
			return nil
		}
	}
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

func tooNew(table string, at, newest int) error {
	return &SchemaError{
		Problem: fmt.Sprintf("The database was written by a newer Postroom (%s is at %d, this version knows %d).", table, at, newest),
		Mend:    "Install that version or a newer one on every node.",
	}
}

// explain turns a refusal that only a person can mend into a *SchemaError.
func (s *Store) explain(ctx context.Context, err error) error {
	var known *SchemaError
	var refused *pgconn.PgError
	if errors.As(err, &known) || !errors.As(err, &refused) {
		return err
	}
	switch {
	case refused.Code == "42501": // insufficient_privilege
		role, database := s.whoAndWhere(ctx)
		var exists bool
		_ = s.pool.QueryRow(ctx, `SELECT to_regnamespace('postroom') IS NOT NULL`).Scan(&exists)
		if !exists {
			return &SchemaError{
				Problem: fmt.Sprintf("The database role %s may not create the schema postroom in the database %s.", role, database),
				Mend:    fmt.Sprintf("As the database's owner run: GRANT CREATE ON DATABASE %s TO %s;", database, role),
				Cause:   err,
			}
		}
		return &SchemaError{
			Problem: fmt.Sprintf("The database role %s may not change what lies in the schema postroom of the database %s.", role, database),
			Mend:    fmt.Sprintf("As the schema's owner run: GRANT USAGE, CREATE ON SCHEMA postroom TO %s; and give it the schema's tables (ALTER TABLE … OWNER TO %s;).", role, role),
			Cause:   err,
		}
	case refused.Code == "25006": // read_only_sql_transaction
		return &SchemaError{
			Problem: "The database of SqlSettings.DataSource is read-only (a replica?).",
			Mend:    "Let SqlSettings.DataSource name the primary.",
			Cause:   err,
		}
	// duplicate or undefined table, column, type, function
	case slices.Contains([]string{"42P07", "42P01", "42701", "42703", "42710", "42704", "42723", "42883"}, refused.Code):
		return &SchemaError{
			Problem: "The schema postroom is not as a Postroom leaves it: " + refused.Message + ".",
			Mend:    "Restore it from a backup, or move it out of the way: ALTER SCHEMA postroom RENAME TO postroom_old;",
			Cause:   err,
		}
	}
	return err
}

// whoAndWhere are the role and the database, quoted for SQL.
func (s *Store) whoAndWhere(ctx context.Context) (role, database string) {
	role, database = "(unknown)", "(unknown)"
	_ = s.pool.QueryRow(ctx, `SELECT quote_ident(current_user), quote_ident(current_database())`).Scan(&role, &database)
	return role, database
}

type step struct {
	version int
	sql     string
}

// readMigrations gives the embedded files in their order; they are numbered from 1 without a gap.
func readMigrations(files fs.FS) ([]step, error) {
	names, err := fs.Glob(files, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	steps := make([]step, 0, len(names))
	for i, name := range names {
		number, _, _ := strings.Cut(strings.TrimPrefix(name, "migrations/"), "_")
		version, err := strconv.Atoi(number)
		if err != nil || version != i+1 {
			return nil, fmt.Errorf("%s: migrations are numbered from 1 without a gap", name)
		}
		sql, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		steps = append(steps, step{version, string(sql)})
	}
	if len(steps) == 0 {
		return nil, errors.New("no migrations are embedded")
	}
	return steps, nil
}
