package engine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

var now = time.UnixMilli(1_764_000_000_000)

func open(t *testing.T, o Options) *Engine {
	t.Helper()
	if o.Wasm == nil {
		o.Wasm = double().bytes()
	}
	e, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestABadModuleIsRefusedWithClearWords(t *testing.T) {
	loop := cat(opLoop, blockTypeVoid, opBr, 0, opEnd)
	cases := []struct {
		name string
		wasm []byte
		want string
	}{
		{"empty", nil, "it is empty"},
		{"not wasm", []byte("#!/bin/sh\n"), "it cannot be read: not a WebAssembly module"},
		{"cut short", double().bytes()[:120], "it cannot be read: the module ends early"},
		{"wrong inside", double().with(exportCall, func(f *asmFunc) { f.body = cat(opI32Const, 0) }).bytes(), "it cannot be compiled"},
		{"export missing", double().with(exportFree, nil).bytes(), "it does not export core_free (i32, i32)"},
		{"version missing", double().with(exportABI, nil).bytes(), "it does not export core_abi_v1 ()"},
		{"another version", double().with(exportABI, func(f *asmFunc) { f.name = "core_abi_v2" }).bytes(), "it speaks core_abi_v2, this host core_abi_v1"},
		{"wrong signature", double().with(exportCall, func(f *asmFunc) { f.results, f.body = []byte{vI32}, cat(opI32Const, 0) }).bytes(), "its export core_call is (i32, i32) -> i32, not (i32, i32) -> i64"},
		{"no memory export", func() []byte { m := double(); m.memory = "heap"; return m.bytes() }(), "it does not export memory"},
		{"file import", func() []byte {
			m := double()
			m.imports = []asmFunc{{name: "path_open"}}
			return m.bytes()
		}(), "it imports wasi_snapshot_preview1.path_open"},
		{"host import", func() []byte {
			m := double()
			m.module, m.imports = "env", []asmFunc{{name: "now"}}
			return m.bytes()
		}(), "it imports env.now"},
		{"self-test fails", func() []byte {
			m := double()
			m.data[okAt] = []byte(errReply)[:len(okReply)]
			copy(m.data[okAt], `{"err":{"code":"internal","detail":"x"}}     `)
			return m.bytes()
		}(), "its self-test failed: core: internal"},
		{"self-test traps", double().with(exportCall, func(f *asmFunc) { f.body = cat(opUnreachable) }).bytes(), "its self-test failed: self_test: the core trapped"},
		{"start traps", double().with(exportInit, func(f *asmFunc) { f.body = cat(opUnreachable) }).bytes(), "its self-test failed: self_test: the core trapped"},
		{"start never ends", double().with(exportInit, func(f *asmFunc) { f.body = loop }).bytes(), "its self-test failed: self_test: the core exceeded its deadline"},
		{"alloc outside memory", double().with(exportAlloc, func(f *asmFunc) { f.body = cat(opI32Const, sleb(1<<30)) }).bytes(), "core_alloc gave a buffer outside its memory"},
		{"needs more memory than it may have", func() []byte { m := double(); m.pages = 100; return m.bytes() }(), "it cannot be compiled"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e, err := New(t.Context(), Options{Wasm: c.wasm, Deadline: 300 * time.Millisecond, MemoryPages: 64})
			var bad *ArtefactError
			if e != nil || !errors.As(err, &bad) {
				t.Fatalf("New = %v, %v; want an ArtefactError", e, err)
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("the error says %q, not %q on one line", err, c.want)
			}
		})
	}
}

func TestACallGoesWrongAndTheNextIsServedByAFreshInstance(t *testing.T) {
	cases := []struct {
		op   string
		want error
		late uint64
	}{
		{"trap", ErrTrapped, 0},
		{"loop", ErrDeadline, 1},
		{"hog", ErrTrapped, 0},
		{"outside", ErrTrapped, 0},
		{"zero", ErrTrapped, 0},
		{"junk", ErrTrapped, 0},
	}
	for _, c := range cases {
		t.Run(c.op, func(t *testing.T) {
			var logged bytes.Buffer
			e := open(t, Options{Deadline: 300 * time.Millisecond, MemoryPages: 64, MaxInstances: 1, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
			if got := count(t, e) + count(t, e); got != "12" {
				t.Fatalf("a used instance is not used again: counts %s", got)
			}
			secret := map[string]string{"token": "s3cr3t-payload"}
			err := e.Call(t.Context(), c.op, now, secret, nil)
			if !errors.Is(err, c.want) {
				t.Fatalf("%s = %v; want %v", c.op, err, c.want)
			}
			if got := count(t, e); got != "1" {
				t.Errorf("the next call was not served by a fresh instance: count %s", got)
			}
			if s := err.Error() + logged.String(); strings.Contains(s, "s3cr3t") {
				t.Errorf("the payload leaked: %s", s)
			}
			if s := e.Stats(); s.Instances != 1 || s.Late != c.late || s.Traps != 1-c.late || s.Calls != 5 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// count calls the double's counter, which tells one instance from another.
func count(t *testing.T, e *Engine) string {
	t.Helper()
	var out struct{ N string }
	if err := e.Call(t.Context(), "count", now, nil, &out); err != nil {
		t.Fatal(err)
	}
	return out.N
}

func TestTheCoresOwnErrorArrivesTyped(t *testing.T) {
	e := open(t, Options{})
	var core *CoreError
	err := e.Call(t.Context(), "error", now, nil, nil)
	if !errors.As(err, &core) || *core != (CoreError{"invalid_argument", "site.url", "set SiteURL"}) {
		t.Fatalf("got %#v", err)
	}
	if s := e.Stats(); s.Traps != 0 || s.Instances != 1 {
		t.Errorf("an err is no trap: %+v", s)
	}
}

func TestWithoutEntropyNothingIsComputed(t *testing.T) {
	for name, source := range map[string]io.Reader{
		"none":    iotest.ErrReader(errors.New("getrandom: broken")),
		"too few": bytes.NewReader(make([]byte, 95)),
	} {
		t.Run(name, func(t *testing.T) {
			e := open(t, Options{Entropy: source})
			before := e.Stats().Calls
			if err := e.Call(t.Context(), "prepare", now, nil, nil); !errors.Is(err, ErrEntropy) {
				t.Errorf("prepare = %v; want ErrEntropy", err)
			}
			if e.Stats().Calls != before {
				t.Error("the core was called")
			}
			if err := e.Call(t.Context(), "key", now, nil, nil); err != nil {
				t.Errorf("an operation that needs none: %v", err)
			}
		})
	}
}

func TestManyCallersShareFewInstances(t *testing.T) {
	e := open(t, Options{MaxInstances: 3})
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 50 {
				op, want := "good", error(nil)
				if i%8 == 0 {
					op, want = "trap", ErrTrapped
				}
				if err := e.Call(t.Context(), op, now, nil, nil); !errors.Is(err, want) {
					t.Errorf("%s = %v", op, err)
				}
			}
		}()
	}
	wg.Wait()
	if s := e.Stats(); s.Calls != 24*50+1 || s.Traps != 3*50 || s.Instances > 3 {
		t.Errorf("stats %+v", s)
	}
}

func TestAWaitingCallerCanGiveUp(t *testing.T) {
	e := open(t, Options{MaxInstances: 1})
	if err := e.pool.acquire(t.Context()); err != nil { // as a long call does
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := e.Call(ctx, "good", now, nil, nil); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrDeadline) {
		t.Errorf("the waiting caller got %v", err)
	}
	e.pool.release()
	if err := e.Call(t.Context(), "good", now, nil, nil); err != nil {
		t.Errorf("the next caller got %v", err)
	}
}

func TestACallerWhoLeavesCostsNoInstance(t *testing.T) {
	e := open(t, Options{MaxInstances: 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Call(ctx, "count", now, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if got := count(t, e); got != "1" {
		t.Errorf("the call ran although its caller had gone: count %s", got)
	}
}

func TestAnInstanceThatGrewIsLetGo(t *testing.T) {
	e := open(t, Options{MaxInstances: 1})
	count(t, e)
	if err := e.Call(t.Context(), "big", now, nil, nil); err != nil {
		t.Fatal(err)
	}
	if got := count(t, e); got != "1" {
		t.Errorf("the instance with 12 MB of memory was kept: count %s", got)
	}
}

func TestCloseWaitsForCallsAndRefusesNewOnes(t *testing.T) {
	e, err := New(t.Context(), Options{Wasm: double().bytes(), MaxInstances: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.pool.acquire(t.Context()); err != nil { // as a call under way does
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := e.Close(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close during a call = %v", err)
	}
	if err := e.Call(t.Context(), "good", now, nil, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Call after Close = %v", err)
	}
	e.pool.release()
	if err := e.Close(t.Context()); err != nil {
		t.Errorf("Close once the call has ended = %v", err)
	}
}

func TestAReplyOfAnotherShapeIsOurMistakeNotATrap(t *testing.T) {
	e := open(t, Options{})
	var out struct{ Version int }
	err := e.Call(t.Context(), "good", now, nil, &out)
	if err == nil || errors.Is(err, ErrTrapped) || !strings.Contains(err.Error(), "ok.version") {
		t.Errorf("got %v", err)
	}
}
