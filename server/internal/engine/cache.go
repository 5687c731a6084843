package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// CacheDir names a folder for Options.CacheDir that survives restarts and upgrades of the plugin (whose own folder
// Mattermost deletes): the user's cache folder, or one under /var/tmp for a user who has none.
func CacheDir() string {
	if dir, err := os.UserCacheDir(); err == nil && filepath.IsAbs(dir) {
		return filepath.Join(dir, "postroom", "wazero")
	}
	return filepath.Join("/var/tmp", fmt.Sprintf("postroom-%d", os.Getuid()), "wazero")
}

// compile sets runtime and compiled. Trouble with the cache costs time, never the start: it is logged, and the module
// is compiled without.
func (e *Engine) compile(ctx context.Context, o Options) error {
	if len(o.Wasm) == 0 {
		return refused(nil, "it is empty")
	}
	metered, err := meter(o.Wasm)
	if err != nil {
		return refused(err, "it cannot be read")
	}
	o.Wasm = metered
	if o.CacheDir != "" {
		dir, err := openCache(o.CacheDir, o.Wasm)
		if err == nil {
			if e.cache, err = wazero.NewCompilationCacheWithDir(dir); err == nil {
				if err = e.compileWith(ctx, o); err == nil {
					return nil
				}
				_ = e.discard(ctx)
				e.cache = nil
			}
			_ = os.RemoveAll(dir) // a damaged entry must not cost every start; dir is ours alone
		}
		o.Logger.Warn("the core is compiled without a cache", "folder", o.CacheDir, "reason", err.Error())
	}
	if err := e.compileWith(ctx, o); err != nil {
		_ = e.discard(ctx)
		return refused(err, "it cannot be compiled")
	}
	return nil
}

func (e *Engine) compileWith(ctx context.Context, o Options) error {
	config := wazero.NewRuntimeConfig().WithMemoryLimitPages(o.MemoryPages)
	if e.cache != nil {
		config = config.WithCompilationCache(e.cache)
	}
	e.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, e.runtime); err != nil {
		return err
	}
	var err error
	e.compiled, err = e.runtime.CompileModule(experimental.WithCompilationWorkers(ctx, runtime.GOMAXPROCS(0)), o.Wasm)
	return err
}

// keepFor is how long compiled code of a module that is no longer started is kept.
const keepFor = 30 * 24 * time.Hour

// openCache makes the folder for this module inside dir, and refuses it unless nobody else can write there.
func openCache(dir string, wasm []byte) (string, error) {
	if !filepath.IsAbs(dir) {
		return "", fmt.Errorf("%s is not an absolute path", dir)
	}
	sum := sha256.Sum256(wasm)
	own := filepath.Join(dir, hex.EncodeToString(sum[:8]))
	if err := os.MkdirAll(own, 0o700); err != nil {
		return "", err
	}
	for _, d := range []string{dir, own} {
		if err := checkPrivate(d); err != nil {
			return "", err
		}
	}
	if err := checkParents(filepath.Dir(dir)); err != nil {
		return "", err
	}
	now := time.Now()
	_ = os.Chtimes(own, now, now)
	prune(dir, now.Add(-keepFor))
	return own, nil
}

// checkPrivate holds if dir is a folder (no symlink), ours, mode 0700.
func checkPrivate(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder", dir)
	case !ok || int(stat.Uid) != os.Getuid():
		return fmt.Errorf("%s belongs to another user", dir)
	case info.Mode().Perm() != 0o700:
		return fmt.Errorf("%s has mode %04o, not 0700", dir, info.Mode().Perm())
	}
	return nil
}

// checkParents holds if nobody but us and root could put another folder in the place of one below dir: no folder on
// the way is another user's, or writable to others unless sticky (as /var/tmp is).
func checkParents(dir string) error {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Lstat(dir)
		if err != nil {
			return err
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok || (stat.Uid != 0 && int(stat.Uid) != os.Getuid()) {
			return fmt.Errorf("%s belongs to another user", dir)
		}
		if info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0 {
			return fmt.Errorf("%s is writable by others", dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

func prune(dir string, before time.Time) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && info.IsDir() && info.ModTime().Before(before) {
			_ = os.RemoveAll(filepath.Join(dir, entry.Name()))
		}
	}
}
