// Package harness sets a stage for Postroom: a real PostgreSQL, real Mattermost servers, mail sinks and a
// reverse proxy, all on loopback and on free ports. What it starts it stops, also after Ctrl-C or a crash of
// its own; it touches nothing else on the machine.
package harness

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Stage owns everything that a run starts. Close ends it all, last started first.
type Stage struct {
	// Root is the top of the project's tree, Scratch a folder for temporary files that other users may enter
	// and that Close removes.
	Root, Scratch string
	// Say prints a line of progress.
	Say func(format string, args ...any)

	reaper  *reaper
	mu      sync.Mutex
	closers []func()
	once    sync.Once
}

// Main must be called first in every program and TestMain that uses a Stage: the harness starts the running
// executable again for its helpers, and Main then never returns.
func Main() {
	switch os.Getenv(helperVariable) {
	case helperReaper:
		runReaper(os.Stdin)
		os.Exit(0)
	case helperPostgres:
		os.Exit(runPostgres(os.Stdin, os.Stdout))
	case helperSubmit:
		os.Exit(runSubmit(os.Stdout))
	}
}

// helperVariable tells a copy of this executable which helper it is.
const (
	helperVariable = "POSTROOM_E2E_HELPER"
	helperReaper   = "reaper"
	helperPostgres = "postgres"
	helperSubmit   = "submit"
)

// NewStage makes an empty stage. progress may be nil.
func NewStage(progress io.Writer) (*Stage, error) {
	if progress == nil {
		progress = io.Discard
	}
	_, here, _, _ := runtime.Caller(0)
	root := filepath.Dir(filepath.Dir(filepath.Dir(here)))
	if _, err := os.Stat(filepath.Join(root, "plugin.json")); err != nil {
		return nil, fmt.Errorf("the project's tree was not found at %s: %w; build the harness without -trimpath", root, err)
	}
	started := time.Now()
	stage := &Stage{Root: root, Say: func(format string, args ...any) {
		_, _ = fmt.Fprintf(progress, "[%5.1fs] %s\n", time.Since(started).Seconds(), fmt.Sprintf(format, args...))
	}}
	var err error
	if stage.reaper, err = startReaper(); err != nil {
		return nil, err
	}
	if stage.Scratch, err = os.MkdirTemp("", "postroom-e2e-"); err != nil {
		stage.reaper.close()
		return nil, err
	}
	stage.reaper.folder(stage.Scratch)
	// PostgreSQL and nginx run as another user when this is root, and must be able to pass.
	return stage, os.Chmod(stage.Scratch, 0o755)
}

// OnClose adds a step to Close.
func (s *Stage) OnClose(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closers = append(s.closers, f)
}

// Close stops what was started and removes the scratch folder. Further calls do nothing.
func (s *Stage) Close() {
	s.once.Do(func() {
		for {
			s.mu.Lock()
			if len(s.closers) == 0 {
				s.mu.Unlock()
				break
			}
			last := s.closers[len(s.closers)-1]
			s.closers = s.closers[:len(s.closers)-1]
			s.mu.Unlock()
			last()
		}
		_ = os.RemoveAll(s.Scratch)
		s.reaper.close()
	})
}

// CloseOnSignal closes the stage and exits when the program is told to end (Ctrl-C, SIGTERM, SIGHUP).
func (s *Stage) CloseOnSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		caught := <-signals
		s.Say("%s: stopping what was started", caught)
		s.Close()
		os.Exit(130)
	}()
}

// Folder makes a folder in the scratch folder.
func (s *Stage) Folder(name string) (string, error) {
	dir, err := os.MkdirTemp(s.Scratch, name+"-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// FreePort finds a TCP port on 127.0.0.1 that nobody uses at the moment.
func FreePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// Eventually calls f every 50 ms until it gives nil, and returns its last error when the time is over.
func Eventually(limit time.Duration, f func() error) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %s: %w", limit, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
