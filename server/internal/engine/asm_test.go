package engine

import (
	"maps"
	"slices"
)

// A minimal assembler for the WebAssembly binary format (core specification 1.0, section 5), so that the bad modules of
// the tests are readable here and need no tool.

const (
	vI32, vI64 = 0x7f, 0x7e

	opUnreachable, opLoop, opIf, opEnd, opBr, opReturn       = 0x00, 0x03, 0x04, 0x0b, 0x0c, 0x0f
	opDrop, opLocalGet, opGlobalGet, opGlobalSet             = 0x1a, 0x20, 0x23, 0x24
	opLoad8U, opStore8, opMemoryGrow                         = 0x2d, 0x3a, 0x40
	opI32Const, opI64Const, opI32Eq, opI32Add, blockTypeVoid = 0x41, 0x42, 0x46, 0x6a, 0x40
)

type asmFunc struct {
	name            string // its export
	params, results []byte
	body            []byte // without the final end
}

type asmModule struct {
	imports []asmFunc // functions of wasi_snapshot_preview1, or of module where it is set
	module  string
	funcs   []asmFunc
	memory  string // export's name; "" for none
	pages   byte
	data    map[int][]byte
}

func uleb(n uint64) (b []byte) {
	for {
		c := byte(n & 0x7f)
		if n >>= 7; n == 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func sleb(n int64) (b []byte) {
	for {
		c := byte(n & 0x7f)
		n >>= 7
		if (n == 0 && c&0x40 == 0) || (n == -1 && c&0x40 != 0) {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func cat(parts ...any) (b []byte) {
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case byte:
			b = append(b, p)
		case []byte:
			b = append(b, p...)
		case string:
			b = append(append(b, uleb(uint64(len(p)))...), p...)
		}
	}
	return b
}

func vec(items [][]byte) []byte {
	b := uleb(uint64(len(items)))
	for _, i := range items {
		b = append(b, i...)
	}
	return b
}

func section(id byte, content []byte) []byte {
	return cat(id, uleb(uint64(len(content))), content)
}

func sized(b []byte) []byte { return cat(uleb(uint64(len(b))), b) }

func (m asmModule) bytes() []byte {
	var kinds, imports, funcs, exports, code, data [][]byte
	for i, f := range append(append([]asmFunc{}, m.imports...), m.funcs...) {
		kinds = append(kinds, cat(0x60, sized(f.params), sized(f.results)))
		if i < len(m.imports) {
			module := m.module
			if module == "" {
				module = wasiModule
			}
			imports = append(imports, cat(module, f.name, 0x00, uleb(uint64(i))))
			continue
		}
		funcs = append(funcs, uleb(uint64(i)))
		exports = append(exports, cat(f.name, 0x00, uleb(uint64(i))))
		code = append(code, sized(cat(0 /* no locals */, f.body, opEnd)))
	}
	out := cat([]byte("\x00asm\x01\x00\x00\x00"), section(1, vec(kinds)))
	if len(imports) > 0 {
		out = append(out, section(2, vec(imports))...)
	}
	out = append(out, section(3, vec(funcs))...)
	if m.memory != "" {
		out = append(out, section(5, vec([][]byte{cat(0x00, m.pages)}))...)
		exports = append(exports, cat(m.memory, 0x02, 0))
	}
	// One mutable i32 global, the counter of the double's "count" operation.
	out = append(out, section(6, vec([][]byte{cat(vI32, 1, opI32Const, 0, opEnd)}))...)
	out = append(out, section(7, vec(exports))...)
	out = append(out, section(10, vec(code))...)
	for _, at := range slices.Sorted(maps.Keys(m.data)) {
		data = append(data, cat(0, opI32Const, sleb(int64(at)), opEnd, sized(m.data[at])))
	}
	if len(data) > 0 {
		out = append(out, section(11, vec(data))...)
	}
	return out
}

const (
	okAt, errAt, junkAt, digitOffset = 1024, 2048, 3072, 41 // where the double's replies lie
	okReply                          = `{"ok":{"version":"1.2.3","kinds":[],"n":"0"}}`
	errReply                         = `{"err":{"code":"invalid_argument","field":"site.url","detail":"set SiteURL"}}`
	junkReply                        = `no JSON here`
	requestAt                        = 65536
)

func packed(at int, length int) []byte { return sleb(int64(at)<<32 | int64(length)) }

// when runs body if the operation's name begins with c: a request begins {"op":"…, so that is octet 7.
func when(c byte, body ...any) []byte {
	return cat(opLocalGet, 0, opLoad8U, 0, 7, opI32Const, sleb(int64(c)), opI32Eq, opIf, blockTypeVoid, cat(body...), opEnd)
}

// double is a core that keeps the ABI and misbehaves on demand, by the first letter of the operation.
func double() asmModule {
	answer := func(at int, s string) []byte { return cat(opI64Const, packed(at, len(s)), opReturn) }
	body := cat(
		when('t', opUnreachable),                         // trap
		when('l', opLoop, blockTypeVoid, opBr, 0, opEnd), // loop for ever
		when('h', opLoop, blockTypeVoid, // hog: grow until refused, then trap, as Rust's allocator does
			opI32Const, 1, opMemoryGrow, 0, opI32Const, sleb(-1), opI32Eq, opIf, blockTypeVoid, opUnreachable, opEnd, opBr, 0, opEnd),
		when('b', opI32Const, sleb(200), opMemoryGrow, 0, opDrop, answer(okAt, okReply)), // big: grow by 12.8 MB, and answer
		when('o', opI64Const, packed(1<<30, 10), opReturn),                               // a reply outside memory
		when('z', opI64Const, packed(okAt, 0), opReturn),                                 // an empty reply
		when('j', answer(junkAt, junkReply)),
		when('e', answer(errAt, errReply)),
		when('c', // count: the digit in the reply goes up
			opGlobalGet, 0, opI32Const, 1, opI32Add, opGlobalSet, 0,
			opI32Const, sleb(okAt+digitOffset), opGlobalGet, 0, opI32Const, sleb('0'), opI32Add, opStore8, 0, 0,
			answer(okAt, okReply)),
		opI64Const, packed(okAt, len(okReply)),
	)
	return asmModule{
		memory: exportMemory, pages: 2,
		data: map[int][]byte{okAt: []byte(okReply), errAt: []byte(errReply), junkAt: []byte(junkReply)},
		funcs: []asmFunc{
			{name: exportInit},
			{name: exportABI},
			{name: exportAlloc, params: []byte{vI32}, results: []byte{vI32}, body: cat(opI32Const, sleb(requestAt))},
			{name: exportFree, params: []byte{vI32, vI32}},
			{name: exportCall, params: []byte{vI32, vI32}, results: []byte{vI64}, body: body},
		},
	}
}

// with returns the double with one function replaced; nil takes it away.
func (m asmModule) with(name string, change func(*asmFunc)) asmModule {
	var funcs []asmFunc
	for _, f := range m.funcs {
		if f.name == name {
			if change == nil {
				continue
			}
			change(&f)
		}
		funcs = append(funcs, f)
	}
	m.funcs = funcs
	m.data = maps.Clone(m.data)
	return m
}
