package harness

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The reaper is a small process that waits for this one to end, however it ends (a test's time limit, SIGKILL),
// and then stops the process groups, and takes away the mounts and folders, that it was told of.
type reaper struct {
	mu    sync.Mutex
	words io.WriteCloser
	cmd   *exec.Cmd
}

func startReaper() (*reaper, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), helperVariable+"="+helperReaper)
	// A session of its own: Ctrl-C and a group's end are not meant for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	words, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("the reaper can't be started: %w", err)
	}
	return &reaper{words: words, cmd: cmd}, nil
}

func (r *reaper) tell(word, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = fmt.Fprintf(r.words, "%s %s\n", word, what)
}

func (r *reaper) group(pid int)     { r.tell("group", strconv.Itoa(pid)) }
func (r *reaper) gone(pid int)      { r.tell("gone", strconv.Itoa(pid)) }
func (r *reaper) folder(dir string) { r.tell("folder", dir) }
func (r *reaper) mount(dir string)  { r.tell("mount", dir) }

func (r *reaper) close() {
	_ = r.words.Close()
	_ = r.cmd.Wait()
}

func runReaper(words io.Reader) {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	groups := map[int]bool{}
	var folders, mounts []string
	lines := bufio.NewScanner(words)
	for lines.Scan() {
		word, what, _ := strings.Cut(lines.Text(), " ")
		pid, _ := strconv.Atoi(what)
		switch word {
		case "group":
			groups[pid] = true
		case "gone":
			delete(groups, pid)
		case "folder":
			folders = append(folders, what)
		case "mount":
			mounts = append(mounts, what)
		}
	}
	for pid := range groups {
		_ = syscall.Kill(-pid, syscall.SIGTERM)
	}
	for end := time.Now().Add(10 * time.Second); len(groups) > 0 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		for pid := range groups {
			if syscall.Kill(-pid, 0) != nil {
				delete(groups, pid)
			}
		}
	}
	for pid := range groups {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
	for _, dir := range mounts {
		unmount(dir)
	}
	for _, dir := range folders {
		_ = os.RemoveAll(dir)
	}
}
