// Package engine hosts the Rust core: it runs the WebAssembly module of wasm/host through wazero, by the contract of
// wasm/README.md. It knows nothing of mails or tokens; it carries JSON in and out, and sees to it that a core gone
// wrong (a trap, a loop, a leak) costs one call and no more.
package engine

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
)

// Options say how to host the core. The zero value of each but Wasm is a sensible default.
type Options struct {
	// Wasm is the module's bytes (wasm32-wasip1, a reactor).
	Wasm []byte
	// CacheDir keeps compiled code between starts; "" is none. It is native code that will be executed, so a folder
	// that another user could write to is not used (and that is logged). See CacheDir, the function.
	CacheDir string
	// MaxInstances bounds the calls that run at once; others wait. Default 4.
	MaxInstances int
	// MemoryPages caps one instance's memory, in pages of 64 KiB. Default 1024, which is 64 MiB.
	MemoryPages uint32
	// Deadline bounds one call, counted in rounds of loops (see meter.go), which take some nanoseconds each: a loop
	// that never ends is stopped before it, a fast one long before. Default 5 s; a usual call takes under a millisecond.
	Deadline time.Duration
	// Entropy is the operating system's generator, crypto/rand.Reader by default.
	Entropy io.Reader
	// Logger gets traps and cache trouble; never a request or a reply. Default: nothing is logged.
	Logger *slog.Logger
	// Observe is told of each call of an operation that began: its Result, and how long it took with its wait for an instance. Default: nobody is told.
	Observe func(op, result string, took time.Duration)
}

// Results of a call.
const (
	ResultOK      = "ok"
	ResultRefused = "refused" // the core's own error
	ResultTrapped = "trapped"
	ResultLate    = "late" // stopped by its deadline
)

// Stats are counters since New, and Instances alive now.
type Stats struct {
	Calls     uint64 `json:"calls"` // calls that reached the core
	Traps     uint64 `json:"traps"` // of those, ended by a trap or a broken reply
	Late      uint64 `json:"late"`  // of those, stopped by the deadline
	Instances int    `json:"instances"`
}

// SelfTest is what the core's own check reported when the engine started.
type SelfTest struct {
	Version string   `json:"version"`
	Kinds   []string `json:"kinds"`
	Locales []string `json:"locales"`
}

// Engine runs calls on pooled instances of one compiled module. It is safe for concurrent use.
type Engine struct {
	runtime  wazero.Runtime
	cache    wazero.CompilationCache // nil without a cache folder
	compiled wazero.CompiledModule
	pool     *pool
	deadline time.Duration
	entropy  io.Reader
	log      *slog.Logger
	observe  func(op, result string, took time.Duration)
	selfTest SelfTest

	calls, traps, late atomic.Uint64
}

func (o Options) withDefaults() Options {
	if o.MaxInstances <= 0 {
		o.MaxInstances = 4
	}
	if o.MemoryPages == 0 {
		o.MemoryPages = 1024
	}
	if o.Deadline <= 0 {
		o.Deadline = 5 * time.Second
	}
	if o.Entropy == nil {
		o.Entropy = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observe == nil {
		o.Observe = func(string, string, time.Duration) {}
	}
	return o
}

// New compiles the module, checks its exports and imports against the ABI and runs the core's self-test. A module
// that fails any of this is an *ArtefactError. It takes about 50 ms with a warm cache and some seconds without.
func New(ctx context.Context, o Options) (*Engine, error) {
	o = o.withDefaults()
	started := time.Now()
	e := &Engine{deadline: o.Deadline, entropy: o.Entropy, log: o.Logger, observe: o.Observe}
	if err := e.compile(ctx, o); err != nil {
		return nil, err
	}
	if err := checkABI(e.compiled); err != nil {
		e.discard(ctx)
		return nil, err
	}
	compiled := time.Now()
	e.pool = newPool(e.runtime, e.compiled, o.MaxInstances, fuel(o.Deadline))
	if err := e.runSelfTest(ctx); err != nil {
		e.discard(ctx)
		return nil, err
	}
	// Compiling leaves some 90 MB of garbage behind, reading the cache 8 MB; a service that then idles would keep it.
	go debug.FreeOSMemory()
	o.Logger.Info("core ready", "version", e.selfTest.Version,
		"compile_ms", compiled.Sub(started).Milliseconds(), "self_test_ms", time.Since(compiled).Milliseconds())
	return e, nil
}

func (e *Engine) runSelfTest(ctx context.Context) error {
	err := e.Call(ctx, "self_test", time.UnixMilli(0), struct{}{}, &e.selfTest)
	switch {
	case err == nil && e.selfTest.Version == "":
		return refused(nil, "its self-test gave no version")
	case err == nil || ctx.Err() != nil:
		return ctx.Err()
	default:
		return refused(err, "its self-test failed")
	}
}

// SelfTest is the report of the self-test that New ran.
func (e *Engine) SelfTest() SelfTest { return e.selfTest }

// Stats reads the counters.
func (e *Engine) Stats() Stats {
	return Stats{Calls: e.calls.Load(), Traps: e.traps.Load(), Late: e.late.Load(), Instances: e.pool.alive()}
}

// Close waits for the calls under way (each ends by its deadline), refuses new ones, and frees the compiled code.
// When ctx ends first it returns ctx's error and frees nothing: code in use must not be unmapped.
func (e *Engine) Close(ctx context.Context) error {
	if err := e.pool.drain(ctx); err != nil {
		return err
	}
	return e.discard(ctx)
}

func (e *Engine) discard(ctx context.Context) error {
	err := e.runtime.Close(ctx)
	if e.cache != nil {
		if cerr := e.cache.Close(ctx); err == nil {
			err = cerr
		}
	}
	return err
}
