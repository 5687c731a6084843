package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Process is a program that the stage started, in a process group of its own. Its output goes to Log.
type Process struct {
	Name string
	Log  string
	PID  int

	reaper *reaper
	done   chan struct{}
	err    error
}

// Start runs the command; the log is <dir>/<name>.log.
func (s *Stage) Start(name, dir string, cmd *exec.Cmd) (*Process, error) {
	log, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	if cmd.Stdout == nil {
		cmd.Stdout = log
	}
	cmd.Stderr = log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s can't be started: %w", name, err)
	}
	p := &Process{Name: name, Log: log.Name(), PID: cmd.Process.Pid, reaper: s.reaper, done: make(chan struct{})}
	s.reaper.group(p.PID)
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	s.OnClose(func() { p.Stop() })
	return p, nil
}

// Done is closed once the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Ended gives an error, with the end of the log, once the process has ended.
func (p *Process) Ended() error {
	select {
	case <-p.done:
		log, _ := os.ReadFile(p.Log)
		return fmt.Errorf("%s has ended (%v); the end of its log:\n%s", p.Name, p.err, log[max(0, len(log)-2000):])
	default:
		return nil
	}
}

// Stop asks the group to end, waits, and after 20 s kills it.
func (p *Process) Stop() {
	_ = syscall.Kill(p.PID, syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
	}
	p.Kill()
}

// Kill kills the whole group at once, children first asked nothing.
func (p *Process) Kill() {
	_ = syscall.Kill(-p.PID, syscall.SIGKILL)
	<-p.done
	p.reaper.gone(p.PID)
}

// KillAlone kills the process itself and leaves its children, as the kernel does when memory runs out.
func (p *Process) KillAlone() {
	_ = syscall.Kill(p.PID, syscall.SIGKILL)
	<-p.done
}

// otherUser is whom programs that refuse root run as when this is root; nil when it is not.
func otherUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return nil, errors.New("this runs as root and there is no user nobody to run PostgreSQL as; run it as a plain user")
	}
	uid, _ := strconv.ParseUint(nobody.Uid, 10, 32)
	gid, _ := strconv.ParseUint(nobody.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: false}, nil
}

// giveAway makes the folder belong to the other user, if there is one.
func giveAway(dir string, to *syscall.Credential) error {
	if to == nil {
		return nil
	}
	return os.Chown(dir, int(to.Uid), int(to.Gid))
}
