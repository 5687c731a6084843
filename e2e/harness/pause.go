package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// Pause stops every process of the server where it stands (SIGSTOP), as storage does that does not answer: connections
// stay open, and nothing comes. The function goes on.
func (p *Postgres) Pause() (resume func() error, err error) {
	postmaster, err := p.postmaster()
	if err != nil {
		return nil, err
	}
	// Its head first, so that no child comes that is not known here.
	if err := syscall.Kill(postmaster, syscall.SIGSTOP); err != nil {
		return nil, err
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", postmaster, postmaster))
	all := []int{}
	for _, child := range strings.Fields(string(children)) {
		pid, convErr := strconv.Atoi(child)
		err = errors.Join(err, convErr, syscall.Kill(pid, syscall.SIGSTOP))
		all = append(all, pid)
	}
	return func() error {
		for _, pid := range all {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
		return syscall.Kill(postmaster, syscall.SIGCONT)
	}, err
}

func (p *Postgres) postmaster() (int, error) {
	file, err := os.ReadFile(filepath.Join(p.dir, "data", "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(file), "\n")
	return strconv.Atoi(strings.TrimSpace(line))
}

// Shutdown stops the server as an administrator does, whoever is connected; Revive starts it again.
func (p *Postgres) Shutdown() error {
	cmd := exec.Command(filepath.Join(p.binaries, "bin", "pg_ctl"), "stop", "-w", "-m", "fast", "-D", filepath.Join(p.dir, "data"))
	cmd.Dir = p.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.cred}
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("PostgreSQL does not stop: %w: %s", err, said)
	}
	return nil
}

// SmallDatabase makes an empty database on a filesystem of its own of so many MiB, and a role of the same name. Only root
// may mount one: real is false where there is none, and the database lies with the others.
func (p *Postgres) SmallDatabase(name string, mebibytes int) (url string, real bool, err error) {
	if url, err = p.Database(name); err != nil {
		return "", false, err
	}
	dir := filepath.Join(p.dir, "small-"+name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", false, err
	}
	if !mountSmall(dir, mebibytes, p.cred) {
		return url, false, nil
	}
	p.stage.reaper.mount(dir)
	p.stage.OnClose(func() { unmount(dir) })
	for _, statement := range []string{
		"CREATE TABLESPACE " + name + " LOCATION '" + dir + "'",
		"GRANT CREATE ON TABLESPACE " + name + " TO " + name,
		"ALTER DATABASE " + name + " SET TABLESPACE " + name,
	} {
		if err := p.Exec("postgres", statement); err != nil {
			return "", false, err
		}
	}
	return url, true, nil
}

// Session runs statements as the superuser over one connection that is open from now on, for when none can be opened.
func (p *Postgres) Session(database string) (exec func(statement string, args ...any) error, end func(), err error) {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, p.URL("postgres", database))
	if err != nil {
		return nil, nil, err
	}
	return func(statement string, args ...any) error {
		_, err := conn.Exec(ctx, statement, args...)
		return err
	}, func() { _ = conn.Close(ctx) }, nil
}
