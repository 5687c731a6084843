package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Crash kills the server with all its processes (SIGKILL), as a machine does that fails. What was committed is in its
// files: Revive finds it there.
func (p *Postgres) Crash() error {
	file, err := os.ReadFile(filepath.Join(p.dir, "data", "postmaster.pid"))
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(string(file), "\n")
	postmaster, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return err
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", postmaster, postmaster))
	if err != nil {
		return err
	}
	all := []int{postmaster}
	for _, child := range strings.Fields(string(children)) {
		pid, err := strconv.Atoi(child)
		if err != nil {
			return err
		}
		all = append(all, pid)
	}
	for _, pid := range all {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	// A process that is left would keep the shared memory, and with it the next server from starting.
	if err := Eventually(20*time.Second, func() error {
		for _, pid := range all {
			if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(stat), ") Z ") {
				return fmt.Errorf("PostgreSQL's process %d is still there", pid)
			}
		}
		return nil
	}); err != nil {
		return err
	}
	// Where nobody reaps orphans its number is still taken, and the next server would take it for alive.
	return os.Remove(filepath.Join(p.dir, "data", "postmaster.pid"))
}

// Revive starts the server again on its data, as it was started before, and waits until it takes connections.
func (p *Postgres) Revive() error {
	data := filepath.Join(p.dir, "data")
	options, err := os.ReadFile(filepath.Join(data, "postmaster.opts"))
	if err != nil {
		return err
	}
	_, arguments, found := strings.Cut(string(options), " ") // after the program itself
	if !found {
		return errors.New("postmaster.opts has no options")
	}
	log, err := os.OpenFile(filepath.Join(p.dir, "postgres.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(filepath.Join(p.binaries, "bin", "pg_ctl"), "start", "-w", "-t", "60", "-D", data, "-o", strings.TrimSpace(arguments))
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.cred}
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(log.Name())
		return fmt.Errorf("PostgreSQL does not start again: %w; the end of its log:\n%s", err, said[max(0, len(said)-2000):])
	}
	return nil
}
