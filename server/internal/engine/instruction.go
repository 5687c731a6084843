package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// reader walks over WebAssembly's binary format; after its first error it gives zeros.
type reader struct {
	b   []byte
	at  int
	err error
}

var errShort = errors.New("the module ends early")

func (r *reader) more() bool { return r.at < len(r.b) && r.err == nil }

// short stops the reader where it reads beyond the end.
func (r *reader) short() { r.stop(errShort) }

func (r *reader) stop(err error) {
	if r.err == nil {
		r.err = err
	}
	r.at = len(r.b)
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b)-r.at {
		r.short()
		return nil
	}
	r.at += n
	return r.b[r.at-n : r.at]
}

func (r *reader) byte() byte {
	if r.at >= len(r.b) {
		r.short()
		return 0
	}
	r.at++
	return r.b[r.at-1]
}

func (r *reader) u32() uint32 {
	v, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 || n > 5 || v > 1<<32-1 {
		r.short()
		return 0
	}
	r.at += n
	return uint32(v)
}

// leb passes over an integer in LEB128, signed or not.
func (r *reader) leb() {
	for i := r.at; i < len(r.b); i++ {
		if r.b[i]&0x80 == 0 {
			r.at = i + 1
			return
		}
	}
	r.short()
}

func (r *reader) lebs(n int) {
	for ; n > 0 && r.err == nil; n-- {
		r.leb()
	}
}

const opLoopHead = 0x03

// immediates says what follows each opcode: 0 to 2 integers in LEB128, or one of the kinds below.
var immediates = func() (kinds [256]byte) {
	for op := range kinds {
		kinds[op] = unknown
	}
	set := func(kind byte, from, to int) {
		for op := from; op <= to; op++ {
			kinds[op] = kind
		}
	}
	for _, op := range []int{0x00, 0x01, 0x05, 0x0b, 0x0f, 0x1a, 0x1b, 0xd1} { // unreachable nop else end return drop select ref.is_null
		kinds[op] = 0
	}
	for _, op := range []int{0x0c, 0x0d, 0x10, 0xd0, 0xd2} { // br br_if call ref.null ref.func
		kinds[op] = 1
	}
	set(1, 0x02, 0x04)         // block loop if
	set(1, 0x20, 0x26)         // locals, globals, tables
	set(2, 0x28, 0x3e)         // loads and stores
	set(1, 0x3f, 0x42)         // memory.size memory.grow i32.const i64.const
	set(0, 0x45, 0xc4)         // numbers
	kinds[0x0e] = branchTable  // br_table
	kinds[0x11] = 2            // call_indirect
	kinds[0x1c] = selectTyped  // select with types
	kinds[0x43] = fourOctets   // f32.const
	kinds[0x44] = eightOctets  // f64.const
	kinds[0xfc] = bulkPrefix   // saturating truncations, bulk memory, tables
	kinds[0xfd] = vectorPrefix // SIMD
	return kinds
}()

const (
	branchTable = iota + 3
	selectTyped
	fourOctets
	eightOctets
	bulkPrefix
	vectorPrefix
	unknown
)

// instruction passes over one instruction with its immediates and gives its opcode; r.err tells what it does not know.
func (r *reader) instruction() (op byte) {
	op = r.byte()
	switch immediates[op] {
	case 0:
	case 1:
		r.leb()
	case 2:
		r.lebs(2)
	case branchTable:
		r.lebs(int(r.u32()) + 1)
	case selectTyped:
		r.take(int(r.u32()))
	case fourOctets:
		r.take(4)
	case eightOctets:
		r.take(8)
	case bulkPrefix:
		r.bulk()
	case vectorPrefix:
		r.vector()
	default:
		r.fail("instruction %#x is unknown", op)
	}
	return op
}

func (r *reader) fail(format string, args ...any) {
	r.stop(fmt.Errorf(format, args...))
}

func (r *reader) bulk() {
	switch sub := r.u32(); {
	case sub <= 7: // saturating truncations
	case sub == 8, sub == 10, sub == 12, sub == 14: // memory.init memory.copy table.init table.copy
		r.lebs(2)
	case sub <= 17: // data.drop memory.fill elem.drop table.grow table.size table.fill
		r.leb()
	default:
		r.fail("instruction 0xfc %d is unknown", sub)
	}
}

func (r *reader) vector() {
	switch sub := r.u32(); {
	case sub <= 11, sub == 92, sub == 93: // loads and stores
		r.lebs(2)
	case sub == 12, sub == 13: // constant, shuffle
		r.take(16)
	case sub >= 21 && sub <= 34: // lanes
		r.take(1)
	case sub >= 84 && sub <= 91: // loads and stores of a lane
		r.lebs(2)
		r.take(1)
	case sub <= 255:
	default:
		r.fail("instruction 0xfd %d is unknown", sub)
	}
}
