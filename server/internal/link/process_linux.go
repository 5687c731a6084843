package link

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// FindProcess reads a process's start time (proc(5): field 22 of /proc/PID/stat, in clock ticks since boot).
func FindProcess(pid int) (Process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Process{}, err
	}
	// The command's name, in parentheses, may hold anything: what follows the last one is fields 3 and on.
	after := bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[after+1:]))
	const state, start = 0, 19
	if after < 0 || len(fields) <= start {
		return Process{}, fmt.Errorf("process %d: /proc/%d/stat has an unknown form", pid, pid)
	}
	if fields[state] == "Z" || fields[state] == "X" {
		return Process{}, fmt.Errorf("process %d is dead", pid)
	}
	return Process{PID: pid, Start: fields[start]}, nil
}
