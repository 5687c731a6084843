package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// resident is memory in MB (10^6 octets). Shared pages of the one executable are in RSS twice, in PSS once.
type resident struct {
	processes int
	rss, pss  float64
}

func (r resident) String() string {
	return fmt.Sprintf("%.0f MB RSS (%.0f MB PSS) in %d processes", r.rss, r.pss, r.processes)
}

// ourProcesses are those whose executable lies in the node's plugin folder: the shim and the service.
func ourProcesses(nodeDir string) (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		executable, err := os.Readlink(filepath.Join("/proc", entry.Name(), "exe"))
		if err == nil && strings.HasPrefix(executable, filepath.Join(nodeDir, "plugins", "postroom")+"/") {
			pids = append(pids, pid)
		}
	}
	return pids
}

func measureMemory(nodeDir string) (r resident) {
	for _, pid := range ourProcesses(nodeDir) {
		rollup := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
		rss, pss := kib(procField(rollup, "Rss")), kib(procField(rollup, "Pss"))
		if rss > 0 {
			r.processes++
			r.rss += rss * 1024 / 1e6
			r.pss += pss * 1024 / 1e6
		}
	}
	return r
}

func kib(field string) float64 {
	n, _, _ := strings.Cut(field, " ")
	v, _ := strconv.ParseFloat(n, 64)
	return v
}

// watchMemory samples ten times a second until stop is called, which gives the highest.
func watchMemory(nodeDir string) (stop func() resident) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	var peak resident
	wg.Go(func() {
		for {
			if now := measureMemory(nodeDir); now.rss > peak.rss {
				peak = now
			}
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	return func() resident {
		close(done)
		wg.Wait()
		return peak
	}
}
