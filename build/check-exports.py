#!/usr/bin/env python3
"""Compares a WebAssembly module's exports with a list and writes the module out: check-exports.py MODULE LIST OUT.

The list has one export a line: a function as `name (params) -> (results)`, a memory by its name. Imports may be
WASI's alone: the core defines none of its own. ring marks some of its Rust functions for its C parts to find, and
rustc exports them from the module as well; those, by their prefix, are left out of what is written, and so are the
custom sections (names of functions). Reads the binary format itself, so that no tool is needed (https://webassembly.github.io/spec/core/binary/).
"""

import sys
from pathlib import Path

TYPES = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64"}
SECTION_CUSTOM, SECTION_TYPE, SECTION_IMPORT, SECTION_FUNCTION, SECTION_EXPORT = 0, 1, 2, 3, 7
RINGS_OWN = "ring_core_"
KIND_FUNCTION, KIND_TABLE, KIND_MEMORY, KIND_GLOBAL = 0, 1, 2, 3


class Reader:
    def __init__(self, octets: bytes):
        self.octets, self.at = octets, 0

    def byte(self) -> int:
        self.at += 1
        return self.octets[self.at - 1]

    def number(self) -> int:
        """Unsigned LEB128."""
        value = shift = 0
        while True:
            octet = self.byte()
            value |= (octet & 0x7F) << shift
            shift += 7
            if octet < 0x80:
                return value

    def take(self, count: int) -> bytes:
        self.at += count
        return self.octets[self.at - count : self.at]

    def name(self) -> str:
        return self.take(self.number()).decode()

    def types(self) -> str:
        return ", ".join(TYPES[self.byte()] for _ in range(self.number()))


def skip_limits(reader: Reader) -> None:
    has_maximum = reader.byte() & 1
    reader.number()
    if has_maximum:
        reader.number()


def leb128(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read(octets: bytes) -> tuple[list[str], list[str], bytes]:
    """The exports as the list spells them, the imports as `module.name`, and the module to ship."""
    if octets[:8] != b"\0asm\1\0\0\0":
        raise SystemExit("not a WebAssembly module")
    reader, signatures, functions, imports, exports = Reader(octets), [], [], [], []
    out = bytearray(reader.take(8))
    while reader.at < len(octets):
        start, section, size = reader.at, reader.byte(), reader.number()
        end = reader.at + size
        if section == SECTION_TYPE:
            for _ in range(reader.number()):
                reader.byte()
                signatures.append(f"({reader.types()}) -> ({reader.types()})")
        elif section == SECTION_IMPORT:
            for _ in range(reader.number()):
                imports.append(f"{reader.name()}.{reader.name()}")
                kind = reader.byte()
                if kind == KIND_FUNCTION:
                    functions.append(reader.number())
                elif kind == KIND_MEMORY:
                    skip_limits(reader)
                elif kind == KIND_TABLE:
                    reader.byte()
                    skip_limits(reader)
                else:
                    reader.take(2)
        elif section == SECTION_FUNCTION:
            functions += [reader.number() for _ in range(reader.number())]
        elif section == SECTION_EXPORT:
            kept = []
            for _ in range(reader.number()):
                entry = reader.at
                name, kind, index = reader.name(), reader.byte(), reader.number()
                if not name.startswith(RINGS_OWN):
                    exports.append(f"{name} {signatures[functions[index]]}" if kind == KIND_FUNCTION else name)
                    kept.append(octets[entry : reader.at])
            body = leb128(len(kept)) + b"".join(kept)
            out += bytes([section]) + leb128(len(body)) + body
        if section not in (SECTION_CUSTOM, SECTION_EXPORT):
            out += octets[start:end]
        reader.at = end
    return sorted(exports), imports, bytes(out)


def main() -> None:
    module, listed, out = (Path(argument) for argument in sys.argv[1:])
    exports, imports, pruned = read(module.read_bytes())
    wanted = sorted(line.strip() for line in listed.read_text().splitlines() if line.strip())
    problems = [f"missing export: {line}" for line in wanted if line not in exports]
    problems += [f"export that {listed} does not list: {line}" for line in exports if line not in wanted]
    problems += [f"import that is not WASI's: {name}" for name in imports if not name.startswith("wasi_snapshot_preview1.")]
    if problems:
        raise SystemExit("\n".join([f"{module} is not what {listed} says:", *problems]))
    # Written only where it changed, so that nobody builds again for nothing.
    if not out.exists() or out.read_bytes() != pruned:
        out.write_bytes(pruned)


if __name__ == "__main__":
    main()
