package engine

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// start opens an engine with a cache folder and returns what was logged about it.
func start(t *testing.T, dir string) string {
	t.Helper()
	var logged bytes.Buffer
	e, err := New(t.Context(), Options{Wasm: double().bytes(), CacheDir: dir, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(context.Background()); err != nil {
		t.Error(err)
	}
	return logged.String()
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*", "wazero-*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func privateDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "cache")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestCompiledCodeIsKeptAndUsedAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	start(t, dir)
	first := entries(t, dir)
	if len(first) != 1 {
		t.Fatalf("%d entries after one start: %v", len(first), first)
	}
	before, err := os.Stat(first[0])
	if err != nil {
		t.Fatal(err)
	}
	if logged := start(t, dir); strings.Contains(logged, "without a cache") {
		t.Error(logged)
	}
	after, err := os.Stat(first[0])
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) || len(entries(t, dir)) != 1 {
		t.Error("the second start compiled again")
	}
}

func TestADamagedEntryIsThrownAway(t *testing.T) {
	dir := privateDir(t)
	start(t, dir)
	entry := entries(t, dir)[0]
	code, err := os.ReadFile(entry)
	if err != nil {
		t.Fatal(err)
	}
	code[len(code)-40] ^= 0xff
	if err := os.WriteFile(entry, code, 0o600); err != nil {
		t.Fatal(err)
	}
	if logged := start(t, dir); !strings.Contains(logged, "without a cache") {
		t.Errorf("damaged code was run; the log says: %s", logged)
	}
	if logged := start(t, dir); strings.Contains(logged, "without a cache") || len(entries(t, dir)) != 1 {
		t.Errorf("the cache did not recover: %s", logged)
	}
}

func TestAFolderThatOthersCouldWriteToIsNotUsed(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string]struct {
		prepare func(dir string)
		want    string
	}{
		"group and others": {func(dir string) { must(os.Chmod(dir, 0o755)) }, "has mode 0755, not 0700"},
		"symlink": {func(dir string) {
			must(os.Rename(dir, dir+".real"))
			must(os.Symlink(dir+".real", dir))
		}, "is not a folder"},
		"a file": {func(dir string) {
			must(os.Remove(dir))
			must(os.WriteFile(dir, nil, 0o600))
		}, "not a directory"},
		"parent writable": {func(dir string) { must(os.Chmod(filepath.Dir(dir), 0o777)) }, "is writable by others"},
		"entry's symlink": {func(dir string) {
			start(t, dir)
			own := filepath.Dir(filepath.Dir(entries(t, dir)[0]))
			must(os.Rename(own, own+".real"))
			must(os.Symlink(own+".real", own))
		}, "is not a folder"},
	}
	if os.Getuid() == 0 { // only root can make a folder of another user's
		cases["another user's"] = struct {
			prepare func(dir string)
			want    string
		}{func(dir string) { must(os.Chown(dir, 65534, 65534)) }, "belongs to another user"}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := privateDir(t)
			c.prepare(dir)
			if logged := start(t, dir); !strings.Contains(logged, "without a cache") || !strings.Contains(logged, c.want) {
				t.Errorf("want a start without cache and %q; the log says: %s", c.want, logged)
			}
		})
	}
	t.Run("relative", func(t *testing.T) {
		if logged := start(t, "cache"); !strings.Contains(logged, "is not an absolute path") {
			t.Error(logged)
		}
	})
}

func TestCodeOfModulesLongUnusedIsRemoved(t *testing.T) {
	dir := privateDir(t)
	old, recent := filepath.Join(dir, "old"), filepath.Join(dir, "recent")
	for _, d := range []string{old, recent} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-keepFor - time.Hour)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	start(t, dir)
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Error("code unused for a month was kept")
	}
	if _, err := os.Stat(recent); err != nil {
		t.Error("code used lately was removed")
	}
}

func TestCacheDirIsAbsoluteWithAndWithoutAHome(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/home/mm/.cache")
	t.Setenv("HOME", "/home/mm")
	if got := CacheDir(); !strings.HasPrefix(got, "/home/mm/") || !strings.HasSuffix(got, "/postroom/wazero") {
		t.Error(got)
	}
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	if got := CacheDir(); !strings.HasPrefix(got, "/var/tmp/postroom-") {
		t.Error(got)
	}
}
