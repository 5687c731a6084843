// Command bench measures Postroom beside Mattermost's own mail code, on the real server, in one run: see
// docs/benchmarks.md for what is measured and what came of it. It prints a table and writes bench/.out/latest.md.
//
//	go run . [-bundle postroom.tar.gz] [-only compose,pool,load,ready,timing,relay,queue] [-quick]
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"postroom/e2e/harness"
)

type options struct {
	bundle string
	quick  bool
}

// parts are run in this order; the first two need no server.
var parts = []struct {
	name    string
	measure func(*bench) error
}{
	{"compose", (*bench).compose},
	{"pool", (*bench).pool},
	{"ready", (*bench).ready},
	{"load", (*bench).load},
	{"timing", (*bench).timing},
	{"relay", (*bench).relay},
	{"queue", (*bench).queue},
}

func main() {
	harness.Main()
	var o options
	var only string
	flag.StringVar(&o.bundle, "bundle", "", "the bundle to install (default: .build/bundle/postroom.tar.gz)")
	flag.StringVar(&only, "only", "", "parts to run, by comma: compose, pool, ready, load, timing, relay, queue (default: all)")
	flag.BoolVar(&o.quick, "quick", false, "a tenth of the load, to try the bench itself")
	flag.Parse()
	if err := run(o, only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options, only string) error {
	stage, err := harness.NewStage(os.Stdout)
	if err != nil {
		return err
	}
	defer stage.Close()
	stage.CloseOnSignal()
	b := &bench{options: o, stage: stage, report: newReport()}
	if b.bundle == "" {
		b.bundle = filepath.Join(stage.Root, ".build", "bundle", "postroom.tar.gz")
	}
	if _, err := os.Stat(b.bundle); err != nil {
		return fmt.Errorf("there is no bundle (run: make bundle): %w", err)
	}
	chosen := strings.Split(only, ",")
	for _, part := range parts {
		if only != "" && !slices.Contains(chosen, part.name) {
			continue
		}
		if err := part.measure(b); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return b.report.write(filepath.Join(stage.Root, "bench", ".out"))
}
