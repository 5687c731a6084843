package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// exportFuel is the global that meter adds: how many more rounds of loops the call under way may take.
const exportFuel = "engine_fuel"

// meter rewrites a module so that each round of each loop takes one unit of fuel and traps when there is none: this
// is what makes a call's deadline hold. (Recursion is bounded by the stack already.)
//
// wazero's own way, WithCloseOnContextDone, leaves native code for Go in each round: it made composing a mail twice as
// slow. And no timer can stop native code that never leaves: Go's collector would wait for it with everything else
// stopped. See docs/decisions.
//
// It reads the binary format of the WebAssembly core specification 2.0, section 5, and refuses what it does not know.
func meter(wasm []byte) ([]byte, error) {
	if len(wasm) < 8 || !bytes.Equal(wasm[:8], []byte("\x00asm\x01\x00\x00\x00")) {
		return nil, errors.New("not a WebAssembly module of version 1")
	}
	m := &metering{sections: map[byte][]byte{}}
	r := &reader{b: wasm[8:]}
	var order []byte
	for r.more() {
		id := r.byte()
		content := r.take(int(r.u32()))
		if id == 0 {
			continue // custom sections: names and the like, for debuggers
		}
		if _, twice := m.sections[id]; twice || id > 12 {
			return nil, fmt.Errorf("section %d is unknown or there twice", id)
		}
		m.sections[id] = content
		order = append(order, id)
	}
	if r.err != nil {
		return nil, r.err
	}
	if err := m.rewrite(); err != nil {
		return nil, err
	}
	out := bytes.NewBuffer(append(make([]byte, 0, len(wasm)+len(wasm)/8), wasm[:8]...))
	for _, id := range withSection(order, sectionGlobal) {
		out.WriteByte(id)
		out.Write(binary.AppendUvarint(nil, uint64(len(m.sections[id]))))
		out.Write(m.sections[id])
	}
	return out.Bytes(), nil
}

// roundsPerSecond is fewer than a loop that does next to nothing takes, so that its deadline is met early, and about
// what busier ones take.
const roundsPerSecond = 100_000_000

// fuel is what a deadline allows.
func fuel(deadline time.Duration) int32 {
	return int32(min(math.MaxInt32, deadline.Seconds()*roundsPerSecond))
}

const (
	sectionType     = 1
	sectionImport   = 2
	sectionFunction = 3
	sectionGlobal   = 6
	sectionExport   = 7
	sectionCode     = 10
)

// withSection puts a section that may be missing where it belongs: known ids rise, but for 12 (data count), which
// stands before 10.
func withSection(order []byte, id byte) (out []byte) {
	done := false
	for _, o := range order {
		if o == id {
			return order
		}
		if !done && o > id {
			out, done = append(out, id), true
		}
		out = append(out, o)
	}
	if !done {
		out = append(out, id)
	}
	return out
}

type metering struct {
	sections map[byte][]byte
	params   []uint32 // of each type
	types    []uint32 // of each function that is not imported
	fuel     uint32   // the index of the added global
}

func (m *metering) rewrite() error {
	if err := m.readHeads(); err != nil {
		return err
	}
	own, count := m.vec(sectionGlobal)
	m.fuel = count // none is imported
	// (global (mut i32) (i32.const 0)): an instance runs nothing before it is given fuel.
	m.sections[sectionGlobal] = writeVec(count+1, own.b[own.at:], []byte{0x7f, 0x01, 0x41, 0x00, 0x0b})
	own, count = m.vec(sectionExport)
	entry := append([]byte{byte(len(exportFuel))}, exportFuel...)
	entry = binary.AppendUvarint(append(entry, 0x03), uint64(m.fuel))
	m.sections[sectionExport] = writeVec(count+1, own.b[own.at:], entry)

	r, bodies := m.vec(sectionCode)
	if int(bodies) != len(m.types) {
		return errors.New("the code section has another number of functions than are declared")
	}
	out := binary.AppendUvarint(nil, uint64(bodies))
	for i := range int(bodies) {
		body, err := m.function(m.params[m.types[i]], r.take(int(r.u32())))
		if err != nil || r.err != nil {
			return errors.Join(err, r.err)
		}
		out = append(binary.AppendUvarint(out, uint64(len(body))), body...)
	}
	m.sections[sectionCode] = out
	return nil
}

// readHeads learns how many parameters each function has.
func (m *metering) readHeads() error {
	r, n := m.vec(sectionType)
	for ; n > 0 && r.err == nil; n-- {
		if form := r.byte(); form != 0x60 {
			return fmt.Errorf("type form %#x is unknown", form)
		}
		params := r.u32()
		r.take(int(params))
		r.take(int(r.u32()))
		m.params = append(m.params, params)
	}
	imports, n := m.vec(sectionImport)
	for ; n > 0 && imports.err == nil; n-- {
		imports.take(int(imports.u32()))
		imports.take(int(imports.u32()))
		if kind := imports.byte(); kind != 0 {
			return fmt.Errorf("import kind %d: a core imports functions only", kind)
		}
		imports.u32()
	}
	functions, n := m.vec(sectionFunction)
	for ; n > 0 && functions.err == nil; n-- {
		of := functions.u32()
		if int(of) >= len(m.params) {
			return errors.New("a function of an unknown type")
		}
		m.types = append(m.types, of)
	}
	return errors.Join(r.err, imports.err, functions.err)
}

// function adds a local to a body, and the charge to the head of each loop.
func (m *metering) function(params uint32, body []byte) ([]byte, error) {
	r := &reader{b: body}
	groups := r.u32()
	locals := params
	start := r.at
	for n := groups; n > 0 && r.err == nil; n-- {
		locals += r.u32()
		r.byte()
	}
	if r.err != nil {
		return nil, r.err
	}
	out := writeVec(groups+1, body[start:r.at], []byte{0x01, 0x7f})

	charge := []byte{0x23} // global.get fuel
	charge = binary.AppendUvarint(charge, uint64(m.fuel))
	charge = append(charge, 0x41, 0x01, 0x6b, 0x22) // i32.const 1, i32.sub, local.tee
	charge = binary.AppendUvarint(charge, uint64(locals))
	charge = append(charge, 0x24) // global.set fuel
	charge = binary.AppendUvarint(charge, uint64(m.fuel))
	charge = append(charge, 0x20) // local.get
	charge = binary.AppendUvarint(charge, uint64(locals))
	charge = append(charge, 0x41, 0x00, 0x48, 0x04, 0x40, 0x00, 0x0b) // i32.const 0, i32.lt_s, if, unreachable, end

	copied := r.at
	for r.more() {
		op := r.instruction()
		if op == opLoopHead {
			out = append(append(out, body[copied:r.at]...), charge...)
			copied = r.at
		}
	}
	return append(out, body[copied:]...), r.err
}

// vec begins to read a section that is a vector; a section that is not there is an empty one.
func (m *metering) vec(section byte) (items *reader, count uint32) {
	r := &reader{b: m.sections[section]}
	if r.more() {
		count = r.u32()
	}
	return r, count
}

func writeVec(count uint32, items ...[]byte) []byte {
	out := binary.AppendUvarint(nil, uint64(count))
	for _, item := range items {
		out = append(out, item...)
	}
	return out
}
