package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
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

// goBenchmark runs a Go benchmark in twenty short samples and gives the fastest: what else runs on the machine only adds.
func (b *bench) goBenchmark(module, pkg, name string) (time.Duration, float64, error) {
	b.stage.Say("%s in %s", name, module)
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", "^"+name+"$", "-benchtime", "200x", "-count", "20", pkg)
	cmd.Dir = filepath.Join(b.stage.Root, module)
	out, err := cmd.CombinedOutput()
	found := benchLine.FindAllStringSubmatch(string(out), -1)
	if err != nil || len(found) == 0 {
		return 0, 0, fmt.Errorf("%s in %s: %v\n%s", name, module, err, out)
	}
	fastest, octets := time.Duration(math.MaxInt64), 0.0
	for _, match := range found {
		ns, _ := strconv.ParseFloat(match[1], 64)
		octets, _ = strconv.ParseFloat(match[2], 64)
		fastest = min(fastest, time.Duration(ns))
	}
	return fastest, octets, nil
}

// rustBenchmark runs core's criterion benchmark and gives the fastest of its samples.
func (b *bench) rustBenchmark() (time.Duration, error) {
	const name = "prepare/reset_en"
	b.stage.Say("criterion in core")
	cmd := exec.Command("cargo", "bench", "--quiet", "--locked", "-p", "postroom-core", "--bench", "prepare", "--", "dispatch/"+name)
	cmd.Dir = b.stage.Root
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("cargo bench: %w\n%s", err, out)
	}
	path := filepath.Join(b.stage.Root, "target", "criterion", "dispatch", strings.ReplaceAll(name, "/", "_"), "new", "sample.json")
	read, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	var samples struct{ Iters, Times []float64 } // times in ns, of that many iterations
	if err := json.Unmarshal(read, &samples); err != nil || len(samples.Times) == 0 || len(samples.Times) != len(samples.Iters) {
		return 0, fmt.Errorf("%s: %v, or no samples", path, err)
	}
	fastest := math.Inf(1)
	for i, ns := range samples.Times {
		fastest = min(fastest, ns/samples.Iters[i])
	}
	return time.Duration(fastest), nil
}
