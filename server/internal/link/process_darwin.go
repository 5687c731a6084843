package link

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// FindProcess asks ps for the start time: sysctl's kinfo_proc is not within the standard library's reach.
func FindProcess(pid int) (Process, error) {
	out, err := exec.Command("/bin/ps", "-o", "state=,lstart=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return Process{}, fmt.Errorf("process %d: %w", pid, err)
	}
	state, start, ok := strings.Cut(strings.TrimSpace(string(out)), " ")
	if !ok || strings.HasPrefix(state, "Z") {
		return Process{}, fmt.Errorf("process %d is dead", pid)
	}
	return Process{PID: pid, Start: strings.Join(strings.Fields(start), "_")}, nil
}
