package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	"postroom/server/internal/core"
)

var root = func() string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "..", "..", "..")
}()

// coreWasm reads the built module. Without it these tests fail: a contract that nobody checked does not hold.
func coreWasm(t testing.TB) []byte {
	t.Helper()
	wasm, err := os.ReadFile(filepath.Join(root, ".build", "core.wasm"))
	if err != nil {
		t.Fatalf("the core is not built (run: make wasm): %v", err)
	}
	return wasm
}

func openCore(t testing.TB) *Engine {
	t.Helper()
	e, err := New(context.Background(), Options{Wasm: coreWasm(t), CacheDir: filepath.Join(root, ".build", "wazero")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(context.Background()) })
	return e
}

// answers are the Go types that the flows decode into, held to the same fixtures. client_key and the like, whose
// callers read one member, have none.
var answers = map[string]any{
	"self_test":      SelfTest{},
	"read_request":   core.ReadRequest{},
	"limit":          core.Limit{},
	"read_test":      core.ReadTest{},
	"test_reply":     core.Refusal{},
	"open":           core.Opened{},
	"show_landing":   core.Landing{},
	"read_form":      core.ReadForm{},
	"redeem":         core.Redeem{},
	"redeem_outcome": core.RedeemOutcome{},
	"app_error":      core.Refusal{},
}

// operations are all that wasm/README.md names, each to be shown by a fixture.
func operations(t *testing.T) []string {
	t.Helper()
	var ops []string
	for _, found := range regexp.MustCompile("(?m)^### `(\\w+)`").FindAllSubmatch(read(t, filepath.Join(root, "wasm", "README.md")), -1) {
		ops = append(ops, string(found[1]))
	}
	if len(ops) < 15 {
		t.Fatalf("wasm/README.md names only %v", ops)
	}
	return ops
}

// TestContract sends each fixture's request through the real module, compares the reply, and holds the Go types to it.
func TestContract(t *testing.T) {
	e := openCore(t)
	requests, err := filepath.Glob(filepath.Join(root, "contract", "fixtures", "*", "*.request.json"))
	if err != nil || len(requests) == 0 {
		t.Fatalf("no fixtures in contract/fixtures: %v", err)
	}
	seen := map[string]bool{}
	for _, path := range requests {
		op := filepath.Base(filepath.Dir(path))
		seen[op] = true
		t.Run(op+"/"+strings.TrimSuffix(filepath.Base(path), ".request.json"), func(t *testing.T) {
			in := read(t, path)
			want := read(t, strings.TrimSuffix(path, ".request.json")+".response.json")
			got, err := e.CallRaw(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "reply", got, want)
			fits(t, op, want)
			enoughEntropy(t, op, in, want)
		})
	}
	for _, op := range operations(t) {
		if !seen[op] {
			t.Errorf("no fixture for %s", op)
		}
	}
}

// fits holds if the operation's Go type takes the fixture's answer and has no member of another name or value: a
// slip in a tag would show as a member that the fixture lacks.
func fits(t *testing.T, op string, want []byte) {
	t.Helper()
	kind, ok := answers[op]
	if !ok {
		return
	}
	answer := reflect.New(reflect.TypeOf(kind)).Interface()
	var refusal *CoreError
	if err := decode(op, want, answer); errors.As(err, &refusal) {
		return
	} else if err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(map[string]any{"ok": answer})
	if err != nil {
		t.Fatal(err)
	}
	if extra := beyond("", value(t, again), value(t, want)); len(extra) > 0 {
		t.Errorf("%T has members that are not the fixture's: %v", kind, extra)
	}
}

// beyond lists where got says other than want; members that only want has are free.
func beyond(at string, got, want any) (paths []string) {
	g, isObject := got.(map[string]any)
	w, both := want.(map[string]any)
	if !isObject || !both {
		if !reflect.DeepEqual(got, want) {
			return []string{at}
		}
		return nil
	}
	for name, member := range g {
		paths = append(paths, beyond(at+"."+name, member, w[name])...)
		if _, ok := w[name]; !ok && member == nil {
			paths = append(paths, at+"."+name)
		}
	}
	return paths
}

// enoughEntropy holds if a good request makes do with what this host would give its operation.
func enoughEntropy(t *testing.T, op string, in, want []byte) {
	t.Helper()
	var r struct{ Entropy []byte }
	var reply struct{ OK json.RawMessage }
	if json.Unmarshal(in, &r) != nil || json.Unmarshal(want, &reply) != nil || reply.OK == nil {
		return
	}
	if len(r.Entropy) > entropyOf[op] {
		t.Errorf("the fixture brings %d octets of entropy, the host %d", len(r.Entropy), entropyOf[op])
	}
}

// same compares JSON by value: order of members and spaces are free.
func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !reflect.DeepEqual(value(t, got), value(t, want)) {
		t.Errorf("%s differs:\n got %s\nwant %s", what, short(got), short(want))
	}
}

func value(t *testing.T, in []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(in))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("not JSON: %v: %s", err, short(in))
	}
	return v
}

func short(b []byte) string {
	if len(b) > 2000 {
		return string(b[:2000]) + "…"
	}
	return string(b)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestTheBuiltModuleAsksForNothing: what it imports is the toolchain's, and exports.txt is what it exports.
func TestTheBuiltModuleAsksForNothing(t *testing.T) {
	ctx := t.Context()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer r.Close(ctx)
	m, err := r.CompileModule(ctx, coreWasm(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range m.ImportedFunctions() {
		module, name, _ := f.Import()
		t.Logf("imports %s.%s", module, name)
	}
	if err := checkABI(m); err != nil {
		t.Error(err)
	}
	for name := range m.ExportedFunctions() {
		if _, known := exports[name]; !known {
			t.Errorf("it exports %s, which is not in the ABI", name)
		}
	}
}

// TestTheCoreTakesAnything: what the ABI is handed may be no JSON at all, and the core answers with an err.
func TestTheCoreTakesAnything(t *testing.T) {
	e := openCore(t)
	deep := strings.Repeat("[", 100_000)
	for _, in := range []string{"", "x", "null", "[]", `{"op":1}`, "\xff\xfe", `{"op":"prepare","now":1e400}`, deep, `{"op":"key","args":` + deep} {
		out, err := e.CallRaw(t.Context(), []byte(in))
		if err != nil {
			t.Errorf("%.40q: %v", in, err)
			continue
		}
		var core *CoreError
		if err := decode("raw", out, nil); !errors.As(err, &core) {
			t.Errorf("%.40q was answered %s", in, short(out))
		}
	}
	if err := e.Call(t.Context(), "no_such_op", time.Now(), struct{}{}, nil); err == nil || !strings.Contains(err.Error(), "unknown_op") {
		t.Errorf("an unknown operation: %v", err)
	}
	if s := e.Stats(); s.Traps != 0 || s.Late != 0 {
		t.Errorf("stats %+v", s)
	}
}

// TestTheSelfTestNamesWhatShips holds the host's idea of the core to the core's own.
func TestTheSelfTestNamesWhatShips(t *testing.T) {
	got := openCore(t).SelfTest()
	if !slices.Equal(got.Kinds, []string{"reset", "verify", "test"}) || !slices.Equal(got.Locales, []string{"de", "en", "fa", "ja"}) {
		t.Errorf("self-test says %+v", got)
	}
}
