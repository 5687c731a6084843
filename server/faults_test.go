package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/faults.md names a test for each fault; each is there.
func TestTheFaultsPageNamesTests(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "faults.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([^`#]+\\.(?:go|rs))#([^`]+)`").FindAllStringSubmatch(string(page), -1)
	if len(named) < 40 {
		t.Errorf("the page names %d tests only", len(named))
	}
	for _, test := range named {
		source, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(test[1])))
		if err != nil {
			t.Error(err)
		} else if name := test[2]; !strings.Contains(string(source), name+"(") && !strings.Contains(string(source), `"`+name+`"`) && !strings.Contains(string(source), name+"!") {
			t.Errorf("%s has no %q", test[1], name)
		}
	}
}
