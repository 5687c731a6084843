package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// migrated is a store on a fresh, migrated database, and that database's URL.
func migrated(t *testing.T) (*Store, string) {
	t.Helper()
	dataSource := pgtest.Database(t)
	s := opened(t, dataSource)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, dataSource
}

func opened(t *testing.T, dataSource string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dataSource)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// user is an account's row in Mattermost's users; more is SQL that sets further columns.
func user(t *testing.T, dataSource, id, email, more string) {
	t.Helper()
	pgtest.Exec(t, dataSource, fmt.Sprintf(`INSERT INTO users (id, username, email, deleteat, emailverified, roles,
		lastpasswordupdate, locale, authservice) VALUES ('%s', '%s', '%s', 0, true, 'system_user', 1764000000000, 'de', '')`, id, id, email))
	if more != "" {
		pgtest.Exec(t, dataSource, `UPDATE users SET `+more+` WHERE id = '`+id+`'`)
	}
}

func TestOpenReadsMattermostsDataSources(t *testing.T) {
	dataSource := pgtest.Database(t) // has binary_parameters=yes
	parsed, err := url.Parse(dataSource)
	if err != nil {
		t.Fatal(err)
	}
	pairs := fmt.Sprintf("host=%s port=%s user=%s password='secret word' dbname=%s sslmode=disable binary_parameters=yes",
		parsed.Hostname(), parsed.Port(), parsed.User.Username(), strings.TrimPrefix(parsed.Path, "/"))
	for name, source := range map[string]string{"url": dataSource, "pairs": pairs} {
		t.Run(name, func(t *testing.T) {
			s := opened(t, source)
			if err := s.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			var commit, application, timeout string
			err := s.pool.QueryRow(t.Context(), `SELECT current_setting('synchronous_commit'),
				current_setting('application_name'), current_setting('statement_timeout')`).Scan(&commit, &application, &timeout)
			if err != nil || commit != "on" || application != "postroom" || timeout != "30s" {
				t.Errorf("synchronous_commit %s, application_name %s, statement_timeout %s, %v", commit, application, timeout, err)
			}
			if most := s.pool.Config().MaxConns; most != 8 {
				t.Errorf("at most %d connections", most)
			}
		})
	}
}

func TestOpenKeepsThePasswordToItself(t *testing.T) {
	for _, source := range []string{
		"postgres://mm:hunter2@%zz/db", "postgres://mm:hun ter2@host:port/db", "user=mm password=hunter2 port=x",
		"mysql://mm:hunter2@tcp(host)/db", "host='unclosed password=hunter2", "postgres://mm:hunter2@h/db?sslmode=perhaps",
	} {
		_, err := Open(t.Context(), source)
		if err == nil {
			t.Errorf("%s: accepted", source)
		} else if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "ter2") {
			t.Errorf("%s: %v", source, err)
		}
	}
	// A refused connection neither.
	s := opened(t, "postgres://mm:hunter2@127.0.0.1:1/db?sslmode=disable&binary_parameters=yes")
	if err := s.Migrate(t.Context()); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("migrating without a database: %v", err)
	}
}

func TestMigrateByManyAtOnce(t *testing.T) {
	dataSource := pgtest.Database(t)
	var nodes sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		s := opened(t, dataSource)
		nodes.Go(func() { errs[i] = s.Migrate(t.Context()) })
	}
	nodes.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	s := opened(t, dataSource)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatalf("once more: %v", err)
	}
	steps, err := readMigrations(migrationFiles)
	if err != nil {
		t.Fatal(err)
	}
	var versions, river int
	if err := s.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM postroom.schema_version),
		(SELECT count(*) FROM postroom.river_job)`).Scan(&versions, &river); err != nil || versions != len(steps) {
		t.Fatalf("%d versions, %v", versions, err)
	}
}

func TestMigrateSaysWhatToMend(t *testing.T) {
	check := func(name, mend string, prepare func(t *testing.T, dataSource, database string)) {
		t.Run(name, func(t *testing.T) {
			dataSource := pgtest.Database(t)
			parsed, _ := url.Parse(dataSource)
			database := strings.TrimPrefix(parsed.Path, "/")
			prepare(t, dataSource, database)
			err := opened(t, dataSource).Migrate(t.Context())
			var problem *SchemaError
			if !errors.As(err, &problem) {
				t.Fatalf("%v is no *SchemaError", err)
			}
			if want := strings.ReplaceAll(mend, "ROLE", database); !strings.Contains(problem.Error(), want) {
				t.Errorf("%v\nlacks %s", problem, want)
			}
		})
	}
	check("a role without CREATE", "GRANT CREATE ON DATABASE ROLE TO ROLE;", func(t *testing.T, _, database string) {
		pgtest.Exec(t, pgtest.Superuser(t, "postgres"), "ALTER DATABASE "+database+" OWNER TO postgres")
	})
	check("another's schema", "GRANT USAGE, CREATE ON SCHEMA postroom TO ROLE;", func(t *testing.T, _, database string) {
		pgtest.Exec(t, pgtest.Superuser(t, database), "CREATE SCHEMA postroom")
	})
	check("a newer Postroom", "Install that version or a newer one", func(t *testing.T, dataSource, _ string) {
		if err := opened(t, dataSource).Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		pgtest.Exec(t, dataSource, "INSERT INTO postroom.schema_version (version) VALUES (99)")
	})
	check("a newer River", "Install that version or a newer one", func(t *testing.T, dataSource, _ string) {
		if err := opened(t, dataSource).Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		pgtest.Exec(t, dataSource, "INSERT INTO postroom.river_migration (line, version) VALUES ('main', 99)")
	})
	check("a schema of the same name that is something else", "ALTER SCHEMA postroom RENAME", func(t *testing.T, dataSource, _ string) {
		pgtest.Exec(t, dataSource, "CREATE SCHEMA postroom", "CREATE TABLE postroom.tokens (id int)")
	})
	check("a read-only database", "primary", func(t *testing.T, _, database string) {
		pgtest.Exec(t, pgtest.Superuser(t, "postgres"), "ALTER DATABASE "+database+" SET default_transaction_read_only = on")
	})
}

func TestMigrateLeavesNothingHalfDone(t *testing.T) {
	dataSource := pgtest.Database(t)
	pgtest.Exec(t, dataSource, "CREATE SCHEMA postroom", "CREATE TABLE postroom.guard (id int)") // the last table fails
	s := opened(t, dataSource)
	if err := s.Migrate(t.Context()); err == nil {
		t.Fatal("migrated over a foreign table")
	}
	pgtest.Exec(t, dataSource, "DROP TABLE postroom.guard")
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatalf("after the mend: %v", err)
	}
}

func TestAccounts(t *testing.T) {
	s, dataSource := migrated(t)
	user(t, dataSource, "plain", "plain@example.com", "")
	user(t, dataSource, "saml", "saml@example.com", "authservice = 'saml', authdata = 'x'")
	user(t, dataSource, "guest", "guest@example.com", "roles = 'system_guest custom', authservice = 'magic_link'")
	user(t, dataSource, "gone", "gone@example.com", "deleteat = 1, emailverified = false")
	user(t, dataSource, "far", "far@example.com", "remoteid = 'r', locale = NULL, authservice = NULL, lastpasswordupdate = NULL")
	plain := core.Account{ID: "plain", Email: "plain@example.com", Username: "plain", Locale: "de", EmailVerified: true, PasswordStamp: 1764000000000}
	for id, change := range map[string]func(*core.Account){
		"plain": func(*core.Account) {},
		"saml":  func(a *core.Account) { a.AuthService, a.HasAuthData = "saml", true },
		"guest": func(a *core.Account) { a.AuthService, a.Guest = "magic_link", true },
		"gone":  func(a *core.Account) { a.Deleted, a.EmailVerified = true, false },
		"far":   func(a *core.Account) { a.Remote, a.Locale, a.PasswordStamp = true, "", 0 },
	} {
		want := plain
		want.ID, want.Username, want.Email = id, id, id+"@example.com"
		change(&want)
		facts, err := s.FactsByEmail(t.Context(), LinkReset, want.Email)
		if err != nil || facts.Account == nil || *facts.Account != want {
			t.Errorf("%s by address: %+v, %v", id, facts.Account, err)
		}
		byID, err := s.AccountByID(t.Context(), id)
		if err != nil || byID == nil || *byID != want {
			t.Errorf("%s by id: %+v, %v", id, byID, err)
		}
	}
	// The stored address equals the typed one or nobody has it (S28).
	for _, typed := range []string{"Plain@example.com", "plain@example.com ", "plаin@example.com", "%@example.com", ""} {
		if facts, err := s.FactsByEmail(t.Context(), LinkReset, typed); facts.Account != nil || err != nil {
			t.Errorf("%q finds %+v, %v", typed, facts.Account, err)
		}
	}
}

func TestActsAreTakenByOne(t *testing.T) {
	s, dataSource := migrated(t)
	pgtest.Exec(t, dataSource, `INSERT INTO postroom.acts (kind, body) SELECT 'audit', '{"event": "e"}' FROM generate_series(1, 20)`)
	var takers sync.WaitGroup
	var mu sync.Mutex
	seen := map[int64]int{}
	for range 3 {
		takers.Go(func() {
			acts, err := s.TakeActs(t.Context(), 5, time.Minute)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, act := range acts {
				seen[act.ID]++
			}
		})
	}
	takers.Wait()
	for id, times := range seen {
		if times != 1 {
			t.Errorf("act %d was taken %d times", id, times)
		}
	}
	if rest, err := s.TakeActs(t.Context(), 100, -time.Second); err != nil || len(rest)+len(seen) != 20 || len(rest) == 0 {
		t.Fatalf("%d taken, %d left, %v", len(seen), len(rest), err)
	} else if again, err := s.TakeActs(t.Context(), 100, time.Minute); err != nil || len(again) != len(rest) {
		t.Fatalf("%d of %d come back after their lease, %v", len(again), len(rest), err)
	} else if err := s.DoneActs(t.Context(), []int64{again[0].ID}); err != nil {
		t.Fatal(err)
	}
}

func contextWithin(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
