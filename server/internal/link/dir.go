package link

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// socketName is the service's socket in its runtime folder.
const socketName = "service.sock"

// Socket is where the service for a runtime folder listens.
func Socket(dir string) string { return filepath.Join(dir, socketName) }

// LogFile is where the service for a runtime folder writes.
func LogFile(dir string) string { return filepath.Join(dir, "service.log") }

// RuntimeDir makes, or checks, the folder that the shim and the service of one server process meet in. It lies
// outside the plugin's folder, which Mattermost deletes at each start and upgrade. The environment variable
// POSTROOM_RUNTIME_DIR names another parent than the system's folder for temporary files.
func RuntimeDir(server Process) (string, error) {
	parent := os.Getenv("POSTROOM_RUNTIME_DIR")
	if parent == "" {
		parent = filepath.Join(os.TempDir(), "postroom-"+strconv.Itoa(os.Getuid()))
	}
	if err := PrivateDir(parent); err != nil {
		return "", err
	}
	removeStale(parent)
	dir := filepath.Join(parent, fmt.Sprintf("%d-%s", server.PID, server.Start))
	return dir, PrivateDir(dir)
}

// PrivateDir makes the folder, or refuses one that others could reach: it must be ours, mode 0700, no symlink.
func PrivateDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("the runtime folder can't be made: %w; set POSTROOM_RUNTIME_DIR to a folder in one that exists and that Mattermost's user may write", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	mend := fmt.Sprintf("remove %s, or set POSTROOM_RUNTIME_DIR in Mattermost's environment", dir)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder of ours but something else (a symlink is refused); %s", dir, mend)
	case info.Sys().(*syscall.Stat_t).Uid != uint32(os.Getuid()):
		return fmt.Errorf("%s belongs to another user; %s", dir, mend)
	case info.Mode().Perm() != 0o700:
		return fmt.Errorf("%s has the mode %04o, not 0700; %s", dir, info.Mode().Perm(), mend)
	}
	return nil
}

// removeStale clears away the folders of servers that are gone, logs and all.
func removeStale(parent string) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, entry := range entries {
		number, start, ok := strings.Cut(entry.Name(), "-")
		pid, err := strconv.Atoi(number)
		if !ok || err != nil || (Process{PID: pid, Start: start}).Alive() {
			continue
		}
		_ = os.RemoveAll(filepath.Join(parent, entry.Name()))
	}
}

// Lock holds the folder for one starter at a time: two shims can be alive at once, after an upgrade. It waits,
// and gives back the way to let go.
func Lock(dir string) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		_ = file.Close()
		return nil, err
	}
	return func() { _ = file.Close() }, nil
}
