// Package pgtest gives tests a real PostgreSQL: one server for a test binary, a fresh database for each test, with
// Mattermost's two tables that Postroom reads and writes in it.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
	"github.com/jackc/pgx/v5"
)

// version is the one that facts about Mattermost were measured with; e2e keeps its binaries in the same folder.
const version = embeddedpostgres.V15

// mattermost are the columns of Mattermost's tables that Postroom touches, as its migrations 000029, 000046, 000081
// and 000127 leave them.
const mattermost = `
CREATE TABLE users (
	id VARCHAR(26) PRIMARY KEY, createat bigint, updateat bigint, deleteat bigint, username VARCHAR(64) UNIQUE,
	password VARCHAR(128), authdata VARCHAR(128) UNIQUE, authservice VARCHAR(32), email VARCHAR(128) UNIQUE,
	emailverified boolean, roles VARCHAR(256), lastpasswordupdate bigint, locale VARCHAR(5), remoteid VARCHAR(26));
CREATE TABLE bots (userid VARCHAR(26) PRIMARY KEY, description VARCHAR(1024), ownerid VARCHAR(190), createat bigint);
CREATE TABLE tokens (token VARCHAR(64) PRIMARY KEY, createat bigint, type VARCHAR(64), extra VARCHAR(2048));`

var server struct {
	once   sync.Once
	err    error
	port   int
	dir    string
	stop   func()
	number atomic.Int64
}

// Main runs a test binary's tests and stops the server that they started; its result is for os.Exit.
func Main(m *testing.M) int {
	code := m.Run()
	if server.stop != nil {
		server.stop()
	}
	if server.dir != "" {
		_ = os.RemoveAll(server.dir)
	}
	return code
}

// Port is the server's, which is started by the first who asks.
func Port(t testing.TB) int {
	t.Helper()
	server.once.Do(func() { server.err = start() })
	if server.err != nil {
		t.Fatalf("PostgreSQL does not start: %v", server.err)
	}
	return server.port
}

// Database makes a database with Mattermost's tables, owned by a role that is no superuser, and gives its URL.
func Database(t testing.TB) string {
	t.Helper()
	port := Port(t)
	name := fmt.Sprintf("mattermost_%d", server.number.Add(1))
	Exec(t, Superuser(t, "postgres"), "CREATE ROLE "+name+" LOGIN PASSWORD 'secret word'",
		"CREATE DATABASE "+name+" TEMPLATE mattermost OWNER "+name)
	Exec(t, Superuser(t, name), "ALTER TABLE users OWNER TO "+name, "ALTER TABLE tokens OWNER TO "+name, "ALTER TABLE bots OWNER TO "+name)
	t.Cleanup(func() {
		Exec(t, Superuser(t, "postgres"), "DROP DATABASE "+name+" WITH (FORCE)")
	})
	return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s?sslmode=disable&connect_timeout=10&binary_parameters=yes",
		name, url.PathEscape("secret word"), port, name)
}

// Superuser is the URL of a database for the server's superuser.
func Superuser(t testing.TB, database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", Port(t), database)
}

// Exec runs statements, each by itself.
func Exec(t testing.TB, dataSource string, statements ...string) {
	t.Helper()
	conn := Connect(t, dataSource)
	defer func() { _ = conn.Close(context.Background()) }()
	for _, statement := range statements {
		if _, err := conn.Exec(context.Background(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// Connect opens a connection beside the code under test.
func Connect(t testing.TB, dataSource string) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(dataSource)
	if err != nil {
		t.Fatal(err)
	}
	delete(config.RuntimeParams, "binary_parameters")
	conn, err := pgx.ConnectConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func start() error {
	binaries, err := binaries()
	if err != nil {
		return err
	}
	if server.dir, err = os.MkdirTemp("", "postroom-pg-"); err != nil {
		return err
	}
	user := otherUser()
	if user != nil {
		// Whoever PostgreSQL runs as may not be able to enter the tree.
		copied := filepath.Join(server.dir, "pg")
		if err := os.CopyFS(copied, os.DirFS(binaries)); err != nil {
			return err
		}
		binaries = copied
		if err := chown(server.dir, user); err != nil {
			return err
		}
	}
	data := filepath.Join(server.dir, "data")
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(binaries, "bin", name), args...)
		cmd.Dir = server.dir
		cmd.SysProcAttr = attributes(user)
		return cmd
	}
	if out, err := command("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync").CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	if server.port, err = freePort(); err != nil {
		return err
	}
	args := []string{"-D", data, "-p", fmt.Sprint(server.port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "max_connections=300"}
	if os.Getenv("PGTEST_FSYNC") == "" { // measurements set it
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off")
	}
	if err := run(command("postgres", args...)); err != nil {
		return err
	}
	return prepare()
}

// run keeps the server on a thread of its own: it dies with that thread (see attributes), which lives as long as
// this process.
func run(cmd *exec.Cmd) error {
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		return err
	}
	server.stop = func() {
		_ = cmd.Process.Signal(syscall.SIGQUIT) // immediate shutdown: nothing of it is kept
		<-ended
	}
	for range 300 {
		select {
		case <-ended:
			return fmt.Errorf("PostgreSQL ended: %s", log.String())
		default:
		}
		if conn, err := pgx.Connect(context.Background(), superuser("postgres")); err == nil {
			return conn.Close(context.Background())
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("PostgreSQL is not up after 30 s")
}

func superuser(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", server.port, database)
}

// prepare makes the database that each test's is a copy of.
func prepare() error {
	for _, step := range []struct{ database, sql string }{
		{"postgres", "CREATE DATABASE mattermost"}, {"mattermost", mattermost},
	} {
		conn, err := pgx.Connect(context.Background(), superuser(step.database))
		if err != nil {
			return err
		}
		_, err = conn.Exec(context.Background(), step.sql)
		_ = conn.Close(context.Background())
		if err != nil {
			return err
		}
	}
	return nil
}

// binaries are kept inside the tree, where they are fetched to once.
func binaries() (string, error) {
	_, here, _, _ := runtime.Caller(0)
	kept := filepath.Join(filepath.Dir(here), "..", "..", "..", ".build", "pg",
		string(version)+"-"+runtime.GOOS+"-"+runtime.GOARCH)
	if _, err := os.Stat(filepath.Join(kept, "bin", "postgres")); err == nil {
		return kept, nil
	}
	if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
		return "", err
	}
	partial, err := os.MkdirTemp(filepath.Dir(kept), "partial-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(partial) }()
	port, err := freePort()
	if err != nil {
		return "", err
	}
	// The library fetches and checks the binaries on its way to starting a server; as root that start then fails,
	// and it is not needed.
	var log bytes.Buffer
	fetching := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().Version(version).Port(uint32(port)).
		CachePath(filepath.Join(partial, "cache")).RuntimePath(filepath.Join(partial, "runtime")).
		DataPath(filepath.Join(partial, "data")).BinariesPath(filepath.Join(partial, "pg")).Logger(&log))
	startErr := fetching.Start()
	if startErr == nil {
		_ = fetching.Stop()
	}
	if _, err := os.Stat(filepath.Join(partial, "pg", "bin", "postgres")); err != nil {
		return "", fmt.Errorf("fetch PostgreSQL's binaries: %w", startErr)
	}
	if err := os.Chmod(filepath.Join(partial, "pg"), 0o755); err != nil {
		return "", err
	}
	// Another test binary may have been faster.
	if err := os.Rename(filepath.Join(partial, "pg"), kept); err != nil {
		if _, there := os.Stat(filepath.Join(kept, "bin", "postgres")); there != nil {
			return "", err
		}
	}
	return kept, nil
}

func chown(dir string, to *syscall.Credential) error {
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(to.Uid), int(to.Gid))
	})
}

// otherUser is whom PostgreSQL runs as when these tests run as root, which it refuses.
func otherUser() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	return &syscall.Credential{Uid: 65534, Gid: 65534}
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// Rewritten is a DataSource with another port, for a Line to stand between.
func Rewritten(t testing.TB, dataSource string, port int) string {
	t.Helper()
	old := fmt.Sprintf("127.0.0.1:%d/", Port(t))
	if !strings.Contains(dataSource, old) {
		t.Fatalf("no %s in the DataSource", old)
	}
	return strings.Replace(dataSource, old, fmt.Sprintf("127.0.0.1:%d/", port), 1)
}
