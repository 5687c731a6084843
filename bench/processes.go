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

// processor is the processor time that each side has used so far. Unlike rates it does not depend on who else uses
// the machine.
type processor struct {
	mattermost, shim, service, postgres, bench time.Duration
}

func (p processor) since(before processor) processor {
	return processor{p.mattermost - before.mattermost, p.shim - before.shim, p.service - before.service,
		p.postgres - before.postgres, p.bench - before.bench}
}

func (p processor) plus(o processor) processor {
	return processor{p.mattermost + o.mattermost, p.shim + o.shim, p.service + o.service, p.postgres + o.postgres, p.bench + o.bench}
}

// processorTime reads /proc/<pid>/stat; children that have ended are counted with their parents.
func (b *bench) processorTime() (p processor) {
	p.mattermost = used(b.node.PID, false)
	p.bench = used(os.Getpid(), false)
	for _, pid := range ourProcesses(b.node.Dir) {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.HasSuffix(strings.TrimRight(string(line), "\x00"), "\x00service") {
			p.service += used(pid, false)
		} else {
			p.shim += used(pid, false)
		}
	}
	for _, pid := range processesOf(filepath.Join(b.stage.Scratch, "postgres-")) {
		p.postgres += used(pid, true)
	}
	return p
}

// used is a process's time; Linux counts it in hundredths of a second.
func used(pid int, children bool) time.Duration {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(line), ") ") // the name may hold spaces
	fields := strings.Fields(after)
	if len(fields) < 15 {
		return 0
	}
	last := 13 // utime, stime; then the children's
	if children {
		last = 15
	}
	var ticks int
	for _, field := range fields[11:last] {
		n, _ := strconv.Atoi(field)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// ourProcesses are those whose executable lies in the node's plugin folder: the shim and the service.
func ourProcesses(nodeDir string) []int {
	return processesOf(filepath.Join(nodeDir, "plugins", "postroom") + "/")
}

func processesOf(prefix string) (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		executable, err := os.Readlink(filepath.Join("/proc", entry.Name(), "exe"))
		if err == nil && strings.HasPrefix(executable, prefix) {
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
