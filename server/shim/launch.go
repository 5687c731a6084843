package shim

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"postroom/server/internal/link"
)

// RoleService is the argument by which the executable is told to be the service.
const RoleService = "service"

// digestFiles names a build by what it is made of, so that the same bundle, uploaded again, is the same build.
func digestFiles(paths ...string) (string, error) {
	hash := sha256.New()
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(hash, file)
		_ = file.Close()
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// start runs a service in a session of its own, so that it outlives the shim, and waits until it is ready. Its
// secrets go through its standard input; what it or the Go runtime writes goes to a file, because the shim's own
// stderr is Mattermost's pipe and breaks with it.
func (l launch) start(ctx context.Context, dir string, server link.Process, settings []byte, relay *os.File, restarts int) error {
	serverDir, _ := os.Getwd() // inherited from the server; without it kinds of mail are not told by their subjects
	handover, err := json.Marshal(link.Handover{Build: l.build, Version: l.version, Restarts: restarts, Server: server, Dir: dir, Wasm: l.wasm, ServerDir: serverDir, HasRelay: relay != nil, Settings: settings})
	if err != nil {
		return err
	}
	log, err := os.OpenFile(link.LogFile(dir), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	ready, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = ready.Close() }()
	service := exec.Command(l.executable, RoleService)
	service.Env = serviceEnv()
	service.Dir = dir
	service.Stdout, service.Stderr = log, log
	service.ExtraFiles = []*os.File{tell}
	if relay != nil {
		service.ExtraFiles = append(service.ExtraFiles, relay)
	}
	service.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	input, err := service.StdinPipe()
	if err != nil {
		_ = tell.Close()
		return err
	}
	err = service.Start()
	_ = tell.Close()
	if err != nil {
		return fmt.Errorf("the service could not be started: %w", err)
	}
	go func() { _ = service.Wait() }() // so that it leaves no zombie
	if _, err = input.Write(handover); err == nil {
		err = input.Close()
	}
	if err == nil {
		err = awaitReady(ctx, ready)
	}
	if err != nil {
		_ = service.Process.Kill()
	}
	return err
}

func awaitReady(ctx context.Context, pipe *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin-time.Second)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = pipe.SetReadDeadline(time.Now()) })()
	var answer link.Ready
	switch err := json.NewDecoder(pipe).Decode(&answer); {
	case errors.Is(err, io.EOF):
		return errors.New("the service ended before it was ready; its last words are in its log")
	case err != nil:
		return fmt.Errorf("the service did not become ready: %w", err)
	case !answer.OK:
		return errors.New(answer.Error)
	}
	return nil
}

// serviceEnv passes on what concerns the machine, not Mattermost's MM_ variables, which hold secrets.
func serviceEnv() []string {
	var env []string
	for _, name := range []string{"HOME", "PATH", "TMPDIR", "TZ", "XDG_CACHE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR", "GODEBUG", "GOMEMLIMIT"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}
