package engine

import (
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

const (
	exportInit   = "_initialize"
	exportABI    = "core_abi_v1"
	exportAlloc  = "core_alloc"
	exportFree   = "core_free"
	exportCall   = "core_call"
	exportMemory = "memory"

	wasiModule = "wasi_snapshot_preview1"
)

type signature struct{ params, results []api.ValueType }

var (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64

	// exports is the ABI of wasm/README.md.
	exports = map[string]signature{
		exportInit:  {},
		exportABI:   {},
		exportAlloc: {params: []api.ValueType{i32}, results: []api.ValueType{i32}},
		exportFree:  {params: []api.ValueType{i32, i32}},
		exportCall:  {params: []api.ValueType{i32, i32}, results: []api.ValueType{i64}},
	}

	// allowedImports are what Rust's standard library links for wasm32-wasip1. No file, socket or argument is among
	// them; time and randomness are wazero's fakes (fixed), as the core is told the time and given its entropy.
	allowedImports = []string{
		"clock_time_get", "environ_get", "environ_sizes_get", "fd_write", "proc_exit", "random_get",
	}
)

// checkABI compares a compiled module with the contract before anything of it runs.
func checkABI(m wazero.CompiledModule) error {
	for _, f := range m.ImportedFunctions() {
		module, name, _ := f.Import()
		if module != wasiModule || !slices.Contains(allowedImports, name) {
			return refused(nil, "it imports %s.%s, and a core imports nothing but %s.{%s}",
				module, name, wasiModule, strings.Join(allowedImports, ","))
		}
	}
	if len(m.ImportedMemories()) > 0 {
		return refused(nil, "it imports a memory, and a core brings its own")
	}
	have := m.ExportedFunctions()
	if _, ok := have[exportABI]; !ok {
		for name := range have {
			if strings.HasPrefix(name, "core_abi_") {
				return refused(nil, "it speaks %s, this host %s", name, exportABI)
			}
		}
	}
	for name, want := range exports {
		f, ok := have[name]
		if !ok {
			return refused(nil, "it does not export %s %s", name, want)
		}
		if got := (signature{f.ParamTypes(), f.ResultTypes()}); got.String() != want.String() {
			return refused(nil, "its export %s is %s, not %s", name, got, want)
		}
	}
	if _, ok := m.ExportedMemories()[exportMemory]; !ok {
		return refused(nil, "it does not export %s", exportMemory)
	}
	return nil
}

// String writes a signature as wasm/README.md does, without names: "(i32, i32) -> i64".
func (s signature) String() string {
	out := "(" + types(s.params) + ")"
	if len(s.results) > 0 {
		out += " -> " + types(s.results)
	}
	return out
}

func types(ts []api.ValueType) string {
	names := make([]string, len(ts))
	for i, t := range ts {
		names[i] = api.ValueTypeName(t)
	}
	return strings.Join(names, ", ")
}
