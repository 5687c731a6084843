package engine

import (
	"bytes"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// loops exports spin(n), which takes n rounds of one loop.
func loops() []byte {
	return asmModule{memory: "memory", pages: 1, funcs: []asmFunc{{
		name: "spin", params: []byte{vI32},
		body: cat(opLoop, blockTypeVoid, opLocalGet, 0, opI32Const, sleb(-1), opI32Add, 0x22, 0, 0x0d, 0, opEnd),
	}}}.bytes()
}

func TestEachRoundOfALoopTakesOneUnit(t *testing.T) {
	metered, err := meter(loops())
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	r := wazero.NewRuntime(ctx)
	defer func() { _ = r.Close(ctx) }()
	m, err := r.Instantiate(ctx, metered)
	if err != nil {
		t.Fatal(err)
	}
	tank := m.ExportedGlobal(exportFuel).(api.MutableGlobal)
	for _, c := range []struct {
		given, rounds, left int32
		trapped             bool
	}{{10, 1, 9, false}, {10, 10, 0, false}, {10, 11, -1, true}, {0, 1, -1, true}, {1_000_000, 999_999, 1, false}} {
		tank.Set(api.EncodeI32(c.given))
		_, err := m.ExportedFunction("spin").Call(ctx, api.EncodeI32(c.rounds))
		if left := api.DecodeI32(tank.Get()); left != c.left || (err != nil) != c.trapped {
			t.Errorf("%d rounds with fuel for %d: %d left, error %v", c.rounds, c.given, left, err)
		}
	}
}

func TestADeadlineIsNeverMoreThanACounterHolds(t *testing.T) {
	for deadline, want := range map[time.Duration]int32{time.Second: 100_000_000, time.Hour: 1<<31 - 1, time.Millisecond: 100_000} {
		if got := fuel(deadline); got != want {
			t.Errorf("fuel(%v) = %d, want %d", deadline, got, want)
		}
	}
}

// FuzzMeter: what comes out of a module that wazero takes, wazero takes; and nothing panics.
func FuzzMeter(f *testing.F) {
	f.Add(loops())
	f.Add(double().bytes())
	f.Add([]byte{})
	ctx := f.Context()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	f.Fuzz(func(t *testing.T, wasm []byte) {
		metered, err := meter(wasm)
		if err != nil || bytes.Equal(metered, wasm) {
			return
		}
		before, err := r.CompileModule(ctx, wasm)
		if err != nil {
			return
		}
		defer func() { _ = before.Close(ctx) }()
		after, err := r.CompileModule(ctx, metered)
		if err != nil {
			t.Fatalf("metered, it is no module any more: %v", err)
		}
		_ = after.Close(ctx)
	})
}
