package link

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary be the stranger of TestStranger.
func TestMain(m *testing.M) {
	if dir := os.Getenv("LINK_TEST_DIAL"); dir != "" {
		if _, err := Client(dir).Get(URL("/")); err != nil {
			_, _ = io.WriteString(os.Stdout, err.Error())
		}
		return
	}
	os.Exit(m.Run())
}

func TestProcessIsNamedForGood(t *testing.T) {
	own, err := FindProcess(os.Getpid())
	if err != nil || !own.Alive() {
		t.Fatal(own, err)
	}
	if (Process{PID: own.PID, Start: own.Start + "1"}).Alive() {
		t.Error("another process of the same number was taken for this one")
	}
	// A name with spaces and parentheses must not shift the fields of /proc/PID/stat.
	odd := filepath.Join(t.TempDir(), "a) Z (b")
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(odd, raw, 0o755); err != nil {
		t.Fatal(err)
	}
	child := exec.Command(odd, "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	found, err := FindProcess(child.Process.Pid)
	if err != nil || !found.Alive() {
		t.Fatal(found, err)
	}
	gone := make(chan struct{})
	go found.WhenGone(context.Background(), func() { close(gone) })
	_ = child.Process.Kill() // not waited for: a zombie is gone too
	select {
	case <-gone:
	case <-time.After(4 * time.Second):
		t.Fatal("a killed process was not noticed within 4 s")
	}
	_ = child.Wait()
}

func TestPrivateDirRefusesWhatOthersCouldReach(t *testing.T) {
	base := t.TempDir()
	open, link, file, fine := filepath.Join(base, "open"), filepath.Join(base, "link"), filepath.Join(base, "file"), filepath.Join(base, "fine")
	if err := errors.Join(os.Mkdir(open, 0o700), os.Chmod(open, 0o755), os.Symlink(fine, link), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{open: "0755", link: "symlink", file: "something else", filepath.Join(base, "no", "parent"): "POSTROOM_RUNTIME_DIR", fine: ""} {
		err := PrivateDir(dir)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", dir, err, want)
		}
	}
	if os.Getuid() == 0 {
		if err := os.Chown(fine, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if err := PrivateDir(fine); err == nil || !strings.Contains(err.Error(), "another user") {
			t.Error(err)
		}
	}
}

func TestRuntimeDirClearsAwayTheDead(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "run")
	t.Setenv("POSTROOM_RUNTIME_DIR", parent)
	dead := filepath.Join(parent, "4194304-1")
	if err := os.MkdirAll(dead, 0o700); err != nil {
		t.Fatal(err)
	}
	own, err := FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	dir, err := RuntimeDir(own)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := RuntimeDir(own); err != nil || again != dir {
		t.Error(again, err)
	}
	if _, err := os.Stat(dead); !errors.Is(err, os.ErrNotExist) {
		t.Error("a dead server's folder stays")
	}
}

func serve(t *testing.T, dir, answer string) {
	t.Helper()
	listener, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) })}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
}

func ask(t *testing.T, client *http.Client) string {
	t.Helper()
	reply, err := client.Get(URL("/"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	raw, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestANewListenerTakesThePlaceOfTheOld(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, "old")
	client := Client(dir)
	if got := ask(t, client); got != "old" {
		t.Fatal(got)
	}
	serve(t, dir, "new")
	if got := ask(t, Client(dir)); got != "new" {
		t.Error(got)
	}
	client.CloseIdleConnections()
	if got := ask(t, client); got != "new" {
		t.Error(got)
	}
}

// TestStranger dials as another user, which only root can arrange; anyone else is told so.
func TestStranger(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "link")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	serve(t, dir, "hello")
	if os.Getuid() != 0 {
		t.Log("not root: only the way in as oneself is tried")
		ask(t, Client(dir))
		return
	}
	binary := filepath.Join(dir, "dial")
	raw, err := os.ReadFile(os.Args[0])
	if err := errors.Join(err, os.WriteFile(binary, raw, 0o755), os.Chmod(dir, 0o755), os.Chmod(Socket(dir), 0o777)); err != nil {
		t.Fatal(err)
	}
	for uid, want := range map[uint32]string{0: "", 65534: ErrStranger.Error()} {
		dial := exec.Command(binary)
		dial.Env = []string{"LINK_TEST_DIAL=" + dir}
		dial.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := dial.CombinedOutput()
		if err != nil || (want == "") != (string(out) == "") || !strings.Contains(string(out), want) {
			t.Errorf("as %d: %q %v", uid, out, err)
		}
	}
}
