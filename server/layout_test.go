package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const (
	sdk = "github.com/mattermost/mattermost/server/public/"
	own = "postroom/server/"
)

// imports are the packages that each of ours names, less the standard library's.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		name := strings.TrimPrefix(words[0], own)
		all[name] = nil
		for _, word := range words[1:] {
			if first, _, _ := strings.Cut(word, "/"); strings.Contains(first, ".") || strings.HasPrefix(word, own) {
				all[name] = append(all[name], strings.TrimPrefix(word, own))
			}
		}
	}
	return all
}

// TestTheShimIsThin holds what the shim may import: the SDK, the standard library, and link, which itself
// imports the standard library only. Nobody else touches the SDK.
func TestTheShimIsThin(t *testing.T) {
	for name, imported := range imports(t) {
		for _, path := range imported {
			switch {
			case name == "shim" && path != "internal/link" && !strings.HasPrefix(path, sdk):
				t.Errorf("shim imports %s", path)
			case name == "internal/link":
				t.Errorf("link imports %s, and is part of the shim", path)
			case strings.HasPrefix(path, sdk) && name != "shim" && name != "postroom/server":
				t.Errorf("%s imports the plugin SDK", name)
			}
		}
	}
}

// TestDataFlowsOneWay holds the order of the packages: each may import those before it, never those after.
func TestDataFlowsOneWay(t *testing.T) {
	order := []string{
		"internal/link", "internal/core", "internal/engine", "internal/settings", "internal/limits", "internal/store", "internal/metrics",
		"internal/dns", "internal/courier", "internal/mattermost", "internal/subjects", "internal/incidents", "internal/relay", "internal/outbox", "internal/trial", "internal/flow", "internal/httpapi", "service", "shim", "postroom/server",
	}
	for name, imported := range imports(t) {
		place := slices.Index(order, name)
		if name == "internal/pgtest" || name == "internal/courier/peer" || name == "internal/causes" {
			continue // tools of the tests, and tests
		}
		if place < 0 {
			t.Errorf("%s has no place in the order", name)
		}
		for _, path := range imported {
			if at := slices.Index(order, path); at >= place {
				t.Errorf("%s imports %s, which comes after it", name, path)
			}
		}
	}
	for name, imported := range imports(t) {
		if slices.Contains(imported, "github.com/jackc/pgx/v5") && name != "internal/store" && name != "internal/outbox" && name != "internal/pgtest" {
			t.Errorf("%s speaks to the database", name)
		}
	}
}
