package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// pooled is a line of `go test -bench Pool`, in the courier's package.
var pooled = regexp.MustCompile(`(?m)^BenchmarkPool/([a-z]+)/(\d+)_ms/(\w+?)(?:-\d+)?\s.*?([\d.]+) mails/s`)

// pool measures mails per second to a server with TLS and AUTH: Mattermost's manners beside the courier's, with a
// connection for each mail and with kept ones, and again with 50 ms more for each round trip.
func (b *bench) pool() error {
	lasts := "3s"
	if b.quick {
		lasts = "300ms"
	}
	command := exec.Command("go", "test", "-mod=readonly", "-run", "^$", "-bench", "Pool", "-benchtime", lasts, "./internal/courier")
	command.Dir = filepath.Join(b.stage.Root, "server")
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	rates := map[string]float64{}
	b.report.table("Mails of 21 kB a second to a server with TLS and AUTH, 10 at once", "Security", "Round trip", "Manner", "Mails", "Ratio to Mattermost's", "Goal")
	for _, line := range pooled.FindAllStringSubmatch(string(out), -1) {
		security, more, manner := line[1], line[2], line[3]
		perSecond, err := strconv.ParseFloat(line[4], 64)
		if err != nil {
			return err
		}
		rates[security+more+manner] = perSecond
		ratio, goal := "", ""
		if manner != "Mattermost" {
			times := perSecond / rates[security+more+"Mattermost"]
			ratio = fmt.Sprintf("%.1f", times)
			if manner == "pooled" && more != "0" {
				goal = verdict(times >= 5, "5 times")
			}
		}
		b.report.row(security, "+"+more+" ms", manner, fmt.Sprintf("%.0f/s", perSecond), ratio, goal)
	}
	if len(rates) != 12 {
		return fmt.Errorf("%d of 12 rates in: %s", len(rates), out)
	}
	return nil
}
