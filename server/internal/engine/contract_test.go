package engine

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
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

// shapes are the Go types of the operations that the flows use, held to the same fixtures.
var shapes = map[string]struct{ args, result any }{
	core.OpSelfTest:             {struct{}{}, SelfTest{}},
	core.OpReadRequest:          {core.ReadRequestArgs{}, core.ReadRequestResult{}},
	core.OpClientKey:            {core.ClientKeyArgs{}, core.ClientKeyResult{}},
	core.OpLimit:                {core.LimitArgs{}, core.LimitResult{}},
	core.OpPrepare:              {core.PrepareArgs{}, core.PrepareResult{}},
	core.OpComposeTest:          {core.ComposeTestArgs{}, core.ComposeTestResult{}},
	core.OpReadTest:             {core.ReadTestArgs{}, core.ReadTestResult{}},
	core.OpMattermostConnection: {core.MattermostConnectionArgs{}, core.MattermostConnectionResult{}},
	core.OpSteer:                {core.SteerArgs{}, core.SteerResult{}},
	core.OpConclude:             {core.ConcludeArgs{}, core.ConcludeResult{}},
	core.OpConnections:          {core.ConnectionsArgs{}, core.ConnectionsResult{}},
	core.OpTestReply:            {core.TestReplyArgs{}, core.AppErrorResult{}},
	core.OpJudge:                {core.JudgeArgs{}, core.JudgeResult{}},
	core.OpDiagnose:             {core.DiagnoseArgs{}, core.Diagnosis{}},
	core.OpKey:                  {core.KeyArgs{}, core.KeyResult{}},
	core.OpOpen:                 {core.OpenArgs{}, core.OpenResult{}},
	core.OpDNSChecks:            {core.DNSChecksArgs{}, core.DNSChecksResult{}},
	core.OpSealSecret:           {core.SealSecretArgs{}, core.SealSecretResult{}},
	core.OpOpenSecret:           {core.OpenSecretArgs{}, core.OpenSecretResult{}},
	core.OpPassMail:             {core.PassMailArgs{}, core.PassMailResult{}},
	core.OpTakeMail:             {core.TakeMailArgs{}, core.TakeMailResult{}},
	core.OpComposeOrphaned:      {core.ComposeOrphanedArgs{}, core.ComposeOrphanedResult{}},
	core.OpDigestToken:          {core.DigestTokenArgs{}, core.DigestTokenResult{}},
	core.OpShowLanding:          {core.LandingArgs{}, core.ShowLandingResult{}},
	core.OpReadForm:             {core.ReadFormArgs{}, core.ReadFormResult{}},
	core.OpRedeem:               {core.LandingArgs{}, core.RedeemResult{}},
	core.OpRedeemOutcome:        {core.RedeemOutcomeArgs{}, core.RedeemOutcomeResult{}},
	core.OpAlert:                {core.AlertArgs{}, core.AlertResult{}},
	core.OpCommand:              {core.CommandArgs{}, core.CommandResult{}},
	core.OpWatch:                {core.WatchArgs{}, core.WatchResult{}},
	core.OpPage:                 {core.PageArgs{}, core.PageResult{}},
	core.OpAppError:             {core.AppErrorArgs{}, core.AppErrorResult{}},
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

// TestEntropyIsWhatTheContractNames: too little would fail closed, but only when the operation is first used.
func TestEntropyIsWhatTheContractNames(t *testing.T) {
	page := read(t, filepath.Join(root, "wasm", "README.md"))
	for _, op := range operations(t) {
		heading := regexp.MustCompile("(?m)^### `" + op + "`.*; entropy (\\d+)").FindSubmatch(page)
		octets := 0
		if heading != nil {
			octets, _ = strconv.Atoi(string(heading[1]))
		}
		if octets != entropyOf[op] {
			t.Errorf("%s: the contract says %d octets of entropy, the engine gives %d", op, octets, entropyOf[op])
		}
	}
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
			throughShapes(t, e, op, in, want)
		})
	}
	for _, op := range operations(t) {
		if !seen[op] {
			t.Errorf("no fixture for %s", op)
		}
	}
}

// throughShapes decodes a fixture into the Go types, strictly: what they encode to must be answered alike, and the
// answer must survive them. Fixtures that are meant to be malformed fit no type, and are left to CallRaw.
func throughShapes(t *testing.T, e *Engine, op string, in, want []byte) {
	t.Helper()
	shape, ok := shapes[op]
	if !ok {
		return // a fixture of no operation: unknown_op, malformed_request
	}
	var reply struct {
		OK  json.RawMessage `json:"ok"`
		Err *CoreError      `json:"err"`
	}
	if err := json.Unmarshal(want, &reply); err != nil {
		t.Fatal(err)
	}
	r := request{Args: reflect.New(reflect.TypeOf(shape.args)).Interface()}
	if err := strict(in, &r); err != nil {
		if reply.Err == nil {
			t.Errorf("%T does not take a good request's args: %v", shape.args, err)
		}
		return
	}
	if octets := base64.StdEncoding.DecodedLen(len(r.Entropy)); reply.Err == nil && octets > entropyOf[op]+2 {
		t.Errorf("the fixture brings %d octets of entropy, this host %d", octets, entropyOf[op])
	}
	if reply.Err != nil {
		return // a member left out is encoded as its zero value, which may be wrong in another way
	}
	encoded, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.CallRaw(t.Context(), encoded)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "reply to what the Go types encode", got, want)
	result := reflect.New(reflect.TypeOf(shape.result)).Interface()
	if err := strict(reply.OK, result); err != nil {
		t.Fatalf("%T does not take the reply: %v", shape.result, err)
	}
	again, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "result", again, reply.OK)
}

func strict(in []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(in))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// same compares JSON by value: order of members and spaces are free. It reports the first member that differs.
func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if at, g, w := differs("", value(t, got), value(t, want)); at != "" {
		t.Errorf("%s differs at %s:\n got %s\nwant %s", what, at, g, w)
	}
}

// differs gives the path of the first difference, and both sides from shortly before where they part.
func differs(at string, got, want any) (path, g, w string) {
	if reflect.DeepEqual(got, want) {
		return "", "", ""
	}
	gotObject, _ := got.(map[string]any)
	if wantObject, both := want.(map[string]any); both && gotObject != nil {
		for _, name := range slices.Sorted(maps.Keys(wantObject)) {
			if path, g, w := differs(at+"."+name, gotObject[name], wantObject[name]); path != "" {
				return path, g, w
			}
		}
	}
	g, w = fmt.Sprint(got), fmt.Sprint(want)
	same := 0
	for same < min(len(g), len(w)) && g[same] == w[same] {
		same++
	}
	from := max(0, same-40)
	return at + ".", fmt.Sprintf("…%.120q", g[from:]), fmt.Sprintf("…%.120q", w[from:])
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
	if len(b) > 200 {
		return string(b[:200]) + "…"
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
	if !slices.Equal(got.Kinds, []string{"reset", "verify", "test", "orphaned"}) || !slices.Equal(got.Locales, []string{"de", "en", "fa", "ja"}) {
		t.Errorf("self-test says %+v", got)
	}
}
