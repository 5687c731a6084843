package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// compose runs the three benchmarks of one reset mail, where their code lives, one after the other, and compares.
func (b *bench) compose() error {
	wasm, octets, err := b.goBenchmark("server", "./internal/engine", "BenchmarkComposeResetMail")
	if err != nil {
		return err
	}
	opened, _, err := b.goBenchmark("server", "./internal/engine", "BenchmarkOpenResetMail")
	if err != nil {
		return err
	}
	native, err := b.rustBenchmark()
	if err != nil {
		return err
	}
	theirs, theirOctets, err := b.goBenchmark("e2e/mattermost", ".", "BenchmarkComposeResetMail")
	if err != nil {
		return err
	}
	r := b.report
	r.table("One reset mail composed", "How", "Time", "Ratio", "Mail", "Goal")
	r.row("Postroom, the module in Go (token, both parts, MIME, sealed; JSON both ways)", micro(wasm), "1",
		fmt.Sprintf("%.1f kB", octets/1000), verdict(wasm <= 150*time.Microsecond, "at most 150 µs"))
	r.row("the same mail opened again: AES-256-GCM and base64", micro(opened), fmt.Sprintf("%.2f", ratio(opened, wasm)), "", "about what sealing is of the above")
	r.row("Postroom, native Rust, the same call", micro(native), fmt.Sprintf("%.2f", ratio(native, wasm)), "",
		verdict(float64(wasm) <= 2.5*float64(native), fmt.Sprintf("module at most 2.5 times native (%.2f)", ratio(wasm, native))))
	r.row("Mattermost's own packages", micro(theirs), fmt.Sprintf("%.2f", ratio(theirs, wasm)), fmt.Sprintf("%.1f kB, no text", theirOctets/1000), "")
	return nil
}

func micro(d time.Duration) string { return fmt.Sprintf("%.0f µs", float64(d)/1e3) }

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

var benchLine = regexp.MustCompile(`(?m)^Benchmark\S+\s+\d+\s+([\d.]+) ns/op(?:.*?([\d.]+) octets/mail)?`)

// goBenchmark runs a Go benchmark five times and gives the median.
func (b *bench) goBenchmark(module, pkg, name string) (time.Duration, float64, error) {
	b.stage.Say("%s in %s", name, module)
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", "^"+name+"$", "-benchtime", "1s", "-count", "5", pkg)
	cmd.Dir = filepath.Join(b.stage.Root, module)
	out, err := cmd.CombinedOutput()
	found := benchLine.FindAllStringSubmatch(string(out), -1)
	if err != nil || len(found) == 0 {
		return 0, 0, fmt.Errorf("%s in %s: %v\n%s", name, module, err, out)
	}
	var times []time.Duration
	var octets float64
	for _, match := range found {
		ns, _ := strconv.ParseFloat(match[1], 64)
		octets, _ = strconv.ParseFloat(match[2], 64)
		times = append(times, time.Duration(ns))
	}
	return median(times), octets, nil
}

// rustBenchmark runs core's criterion benchmark and reads the median of its saved estimate.
func (b *bench) rustBenchmark() (time.Duration, error) {
	b.stage.Say("criterion in core")
	cmd := exec.Command("cargo", "bench", "--quiet", "--locked", "-p", "postroom-core", "--bench", "prepare", "--", "dispatch/prepare/reset_en")
	cmd.Dir = b.stage.Root
	cmd.Env = append(os.Environ(), "CARGO_TERM_COLOR=never")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("cargo bench: %w\n%s", err, out)
	}
	match := regexp.MustCompile(`time:\s+\[\S+ \S+ ([\d.]+) (ns|µs|us|ms)`).FindStringSubmatch(string(out))
	if match == nil {
		return 0, fmt.Errorf("cargo bench gave no time:\n%s", out)
	}
	value, _ := strconv.ParseFloat(match[1], 64)
	unit := map[string]time.Duration{"ns": 1, "µs": time.Microsecond, "us": time.Microsecond, "ms": time.Millisecond}[match[2]]
	return time.Duration(value * float64(unit)), nil
}
