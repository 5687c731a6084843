package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// reader walks over WebAssembly's binary format; after its first error it gives zeros.
type reader struct {
	b   []byte
	err error
}

var errShort = errors.New("the module ends early")

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.err, r.b = errShort, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u32() uint32 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 5 || v > 1<<32-1 {
		r.err, r.b = errShort, nil
		return 0
	}
	r.b = r.b[n:]
	return uint32(v)
}

// leb passes over an integer in LEB128, signed or not.
func (r *reader) leb() {
	for r.byte()&0x80 != 0 {
	}
}

func (r *reader) lebs(n int) {
	for ; n > 0 && r.err == nil; n-- {
		r.leb()
	}
}

// instruction passes over one instruction with its immediates, and tells whether it was a loop's head.
func (r *reader) instruction() (loop bool, err error) {
	switch op := r.byte(); op {
	case 0x00, 0x01, 0x05, 0x0b, 0x0f, 0x1a, 0x1b, 0xd1: // unreachable nop else end return drop select ref.is_null
	case 0x02, 0x04: // block if
		r.leb()
	case 0x03:
		r.leb()
		loop = true
	case 0x0c, 0x0d, 0x10: // br br_if call
		r.leb()
	case 0x0e: // br_table
		r.lebs(int(r.u32()) + 1)
	case 0x11: // call_indirect
		r.lebs(2)
	case 0x1c: // select with types
		r.take(int(r.u32()))
	case 0x3f, 0x40: // memory.size memory.grow
		r.leb()
	case 0x41, 0x42: // i32.const i64.const
		r.leb()
	case 0x43:
		r.take(4)
	case 0x44:
		r.take(8)
	case 0xd0, 0xd2: // ref.null ref.func
		r.leb()
	case 0xfc:
		err = r.bulk()
	case 0xfd:
		err = r.vector()
	default:
		switch {
		case op >= 0x20 && op <= 0x26: // locals, globals, tables
			r.leb()
		case op >= 0x28 && op <= 0x3e: // loads and stores
			r.lebs(2)
		case op >= 0x45 && op <= 0xc4: // numbers
		default:
			err = fmt.Errorf("instruction %#x is unknown", op)
		}
	}
	return loop, errors.Join(err, r.err)
}

func (r *reader) bulk() error {
	switch sub := r.u32(); {
	case sub <= 7: // saturating truncations
	case sub == 8, sub == 10, sub == 12, sub == 14: // memory.init memory.copy table.init table.copy
		r.lebs(2)
	case sub <= 17: // data.drop memory.fill elem.drop table.grow table.size table.fill
		r.leb()
	default:
		return fmt.Errorf("instruction 0xfc %d is unknown", sub)
	}
	return nil
}

func (r *reader) vector() error {
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
		return fmt.Errorf("instruction 0xfd %d is unknown", sub)
	}
	return nil
}
