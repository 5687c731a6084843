package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// report is a list of tables in Markdown. A goal that is missed is marked so, not hidden.
type report struct {
	text strings.Builder
}

func newReport() *report {
	r := &report{}
	r.line("# Measured %s", time.Now().UTC().Format("2006-01-02 15:04 MST"))
	r.line("")
	r.line("Machine: %d × %s, %s, %s/%s, %s. Load generator, sink, PostgreSQL and server share it.",
		runtime.NumCPU(), procField("/proc/cpuinfo", "model name"), memory(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	return r
}

func (r *report) line(format string, args ...any) {
	_, _ = fmt.Fprintf(&r.text, format+"\n", args...)
}

// table begins a table.
func (r *report) table(title string, columns ...string) {
	r.line("\n## %s\n", title)
	r.line("| %s |", strings.Join(columns, " | "))
	r.line("|%s", strings.Repeat("---|", len(columns)))
}

func (r *report) row(cells ...string) { r.line("| %s |", strings.Join(cells, " | ")) }

// verdict says whether a goal is met.
func verdict(met bool, goal string) string {
	if met {
		return goal + ": met"
	}
	return "**" + goal + ": missed**"
}

func (r *report) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(dir, "latest.md")
	fmt.Printf("\n%s\nwritten to %s\n", r.text.String(), path)
	return os.WriteFile(path, []byte(r.text.String()), 0o644)
}

// procField reads a "name: value" line of a file in /proc; "" where there is none.
func procField(path, name string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func memory() string {
	var kib int
	if _, err := fmt.Sscanf(procField("/proc/meminfo", "MemTotal"), "%d", &kib); err != nil {
		return "memory unknown"
	}
	return fmt.Sprintf("%.0f GiB", float64(kib)/(1<<20))
}
