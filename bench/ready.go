package main

import (
	"fmt"
	"os"
	"time"

	"postroom/e2e/harness"
)

// ready measures from the request that enables the plugin until its status says that it works, with and without compiled
// code on disk, and the memory of both processes once nothing happens.
func (b *bench) ready() error {
	if err := b.set(); err != nil {
		return err
	}
	if err := b.admin.Enable(); err != nil { // the schema's migrations are another matter
		return err
	}
	rounds := 5
	if b.quick {
		rounds = 1
	}
	r := b.report
	r.table("Activation to ready", "Compilation cache", "Median", "Worst", "Goal")
	for _, start := range []struct {
		name string
		cold bool
		goal time.Duration
	}{{"warm", false, 300 * time.Millisecond}, {"cold", true, 2 * time.Second}} {
		var took []time.Duration
		for range rounds {
			one, err := b.activate(start.cold)
			if err != nil {
				return err
			}
			took = append(took, one)
		}
		r.row(start.name, milli(median(took)), milli(quantile(took, 1)), verdict(median(took) <= start.goal, "at most "+milli(start.goal)))
	}

	r.table("Resident memory, shim and service", "When", "Memory", "Goal")
	time.Sleep(10 * time.Second) // as long as a garbage collector may take to give back what a start needed
	memory := measureMemory(b.node.Dir)
	r.row("idle, after a cold start", memory.String(), verdict(memory.rss <= 90, "at most 90 MB"))
	if _, err := b.activate(false); err != nil {
		return err
	}
	time.Sleep(10 * time.Second)
	memory = measureMemory(b.node.Dir)
	r.row("idle, after a warm start", memory.String(), verdict(memory.rss <= 90, "at most 90 MB"))
	return nil
}

// activate switches the plugin off and on.
func (b *bench) activate(cold bool) (time.Duration, error) {
	if err := b.admin.Disable(); err != nil {
		return 0, err
	}
	if err := harness.Eventually(10*time.Second, func() error {
		if left := ourProcesses(b.node.Dir); len(left) > 0 {
			return fmt.Errorf("disabled, and processes %v run on", left)
		}
		return nil
	}); err != nil {
		return 0, err
	}
	if cold {
		if err := os.RemoveAll(b.cacheDir()); err != nil {
			return 0, err
		}
	} else if _, err := os.Stat(b.cacheDir()); err != nil {
		return 0, fmt.Errorf("no compiled code was kept: %w", err)
	}
	started := time.Now()
	if err := b.admin.Must("POST", "/api/v4/plugins/"+harness.PluginID+"/enable", nil, nil); err != nil {
		return 0, err
	}
	for limit := started.Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		status, err := b.admin.Status()
		if err == nil && status.State == working {
			return time.Since(started), nil
		}
		if time.Now().After(limit) {
			return 0, fmt.Errorf("not ready after 30 s: %v %+v", err, status)
		}
	}
}

func milli(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.2f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.0f ms", float64(d)/1e6)
}
