package harness

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
	"github.com/jackc/pgx/v5"
)

// The version that facts about Mattermost were measured with.
const postgresVersion = embeddedpostgres.V15

// Postgres is a PostgreSQL server with a superuser "postgres".
type Postgres struct {
	Port  int
	stage *Stage
	// Where it lies and whom it runs as, to start it again after a crash.
	dir, binaries string
	cred          *syscall.Credential
}

// StartPostgres runs a server on an empty data folder. PostgreSQL refuses root, so as root it runs as nobody, from
// a copy outside the tree, which nobody may not be able to enter.
func (s *Stage) StartPostgres() (*Postgres, error) {
	cache := filepath.Join(s.Root, ".build", "pg", string(postgresVersion)+"-"+runtime.GOOS+"-"+runtime.GOARCH)
	dir, err := s.Folder("postgres")
	if err != nil {
		return nil, err
	}
	cred, err := otherUser()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	binaries := filepath.Join(dir, "binaries")
	_, missing := os.Stat(filepath.Join(cache, "bin", "pg_ctl"))
	switch {
	case missing != nil:
		s.Say("PostgreSQL %s: fetching its binaries (once)", postgresVersion)
	case cred == nil:
		binaries = cache
	default:
		if err := os.CopyFS(binaries, os.DirFS(cache)); err != nil {
			return nil, err
		}
	}
	if cred != nil {
		copied := filepath.Join(dir, "helper")
		if err := copyFile(self, copied, 0o755); err != nil {
			return nil, err
		}
		self = copied
	}
	if err := giveAway(dir, cred); err != nil {
		return nil, err
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}

	cmd := exec.Command(self)
	cmd.Dir = dir
	cmd.Env = []string{
		helperVariable + "=" + helperPostgres, "PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir,
		"PG_DIR=" + dir, "PG_BINARIES=" + binaries, "PG_PORT=" + strconv.Itoa(port),
	}
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	// The helper stops PostgreSQL when this pipe closes, that is, when this process ends in whatever way.
	if _, err := cmd.StdinPipe(); err != nil {
		return nil, err
	}
	ready, err := os.Create(filepath.Join(dir, "ready"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = ready.Close() }()
	cmd.Stdout = ready
	process, err := s.Start("postgres", dir, cmd)
	if err != nil {
		return nil, err
	}
	if err := Eventually(3*time.Minute, func() error {
		if err := process.Ended(); err != nil {
			return err
		}
		if said, _ := os.ReadFile(ready.Name()); !strings.Contains(string(said), "ready") {
			return errors.New("PostgreSQL is not up")
		}
		return nil
	}); err != nil {
		return nil, err
	}
	if missing != nil {
		if err := keepBinaries(binaries, cache); err != nil {
			return nil, err
		}
	}
	s.Say("PostgreSQL %s is up on port %d", postgresVersion, port)
	return &Postgres{Port: port, stage: s, dir: dir, binaries: binaries, cred: cred}, nil
}

// keepBinaries copies what was fetched into the tree, under its final name only when whole.
func keepBinaries(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	partial, err := os.MkdirTemp(filepath.Dir(to), "partial-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(partial) }()
	if err := os.CopyFS(filepath.Join(partial, "pg"), os.DirFS(from)); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(partial, "pg"), to); err != nil && !errors.Is(err, os.ErrExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return err
	}
	return nil
}

// runPostgres is the helper: it runs PostgreSQL until its standard input ends or it is told to.
func runPostgres(in io.Reader, out io.Writer) int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	port, _ := strconv.ParseUint(os.Getenv("PG_PORT"), 10, 32)
	dir := os.Getenv("PG_DIR")
	server := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		Version(postgresVersion).Port(uint32(port)).StartTimeout(time.Minute).Logger(os.Stderr).
		CachePath(filepath.Join(dir, "cache")).RuntimePath(filepath.Join(dir, "runtime")).
		BinariesPath(os.Getenv("PG_BINARIES")).DataPath(filepath.Join(dir, "data")).
		StartParameters(map[string]string{
			"unix_socket_directories": "", "listen_addresses": "127.0.0.1", "max_connections": "300", "shared_buffers": "256MB",
		}))
	if err := server.Start(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_, _ = fmt.Fprintln(out, "ready")
	go func() {
		_, _ = bufio.NewReader(in).ReadByte()
		signals <- syscall.SIGTERM
	}()
	<-signals
	// "fast" would be the default, but a client of a killed server may hang on for long.
	stop := exec.Command(filepath.Join(os.Getenv("PG_BINARIES"), "bin", "pg_ctl"), "stop", "-m", "immediate", "-D", filepath.Join(dir, "data"))
	if err := stop.Run(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// URL is the connection string for a user and database.
func (p *Postgres) URL(user, database string) string {
	return fmt.Sprintf("postgres://%s:postgres@127.0.0.1:%d/%s?sslmode=disable", user, p.Port, database)
}

// Database makes an empty database and a role of the same name that owns it.
func (p *Postgres) Database(name string) (url string, err error) {
	for _, statement := range []string{
		"CREATE ROLE " + name + " LOGIN PASSWORD 'postgres'",
		"CREATE DATABASE " + name + " OWNER " + name,
	} {
		if err := p.Exec("postgres", statement); err != nil {
			return "", err
		}
	}
	return p.URL(name, name), nil
}

// Exec runs one statement as the superuser.
func (p *Postgres) Exec(database, statement string, args ...any) error {
	conn, err := pgx.Connect(context.Background(), p.URL("postgres", database))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	_, err = conn.Exec(context.Background(), statement, args...)
	return err
}

// Rows gives each row of a query as text, its columns parted by a tab; SQL's null is "".
func (p *Postgres) Rows(database, query string, args ...any) ([]string, error) {
	conn, err := pgx.Connect(context.Background(), p.URL("postgres", database))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	rows, err := conn.Query(context.Background(), query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return nil, err
		}
		line := make([]string, len(values))
		for i, value := range values {
			switch value := value.(type) {
			case nil:
			case []byte:
				line[i] = string(value)
			default:
				line[i] = fmt.Sprint(value)
			}
		}
		out = append(out, strings.Join(line, "\t"))
	}
	return out, rows.Err()
}

// Dump gives every row of every table, for a search of what must not lie there.
func (p *Postgres) Dump(database string) (string, error) {
	tables, err := p.Rows(database, `SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) FROM information_schema.tables
		WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE' ORDER BY 1`)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, table := range tables {
		rows, err := p.Rows(database, "SELECT t::text FROM "+table+" t")
		if err != nil {
			return "", err
		}
		for _, row := range rows {
			_, _ = fmt.Fprintf(&out, "%s %s\n", table, row)
		}
	}
	return out.String(), nil
}

func copyFile(from, to string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}
