#!/usr/bin/env python3
"""Checks a bundle as Mattermost will find it: every path that the manifest names is there, the executables are
what their names say and may be run, the size is within the limit, nothing lies outside the plugin's folder."""
import json
import pathlib
import sys
import tarfile

LIMIT = 50_000_000
ELF_MACHINE = {62: "amd64", 183: "arm64"}  # System V ABI, e_machine
MACHO_CPU = {0x01000007: "amd64", 0x0100000C: "arm64"}  # <mach/machine.h>, cputype


def platform(head: bytes) -> str:
    if head[:4] == b"\x7fELF":
        return "linux-" + ELF_MACHINE.get(int.from_bytes(head[18:20], "little"), "?")
    if head[:4] == b"\xcf\xfa\xed\xfe":
        return "darwin-" + MACHO_CPU.get(int.from_bytes(head[4:8], "little"), "?")
    return "?"


def check(path: pathlib.Path) -> list[str]:
    faults = []
    if path.stat().st_size > LIMIT:
        faults.append(f"it has {path.stat().st_size} bytes; {LIMIT} are the limit")
    with tarfile.open(path) as tar:
        entries = {entry.name: entry for entry in tar.getmembers()}
        roots = {name.split("/")[0] for name in entries}
        if len(roots) != 1 or any(".." in name.split("/") or name.startswith("/") for name in entries):
            return [f"everything must lie in one folder; found {sorted(roots)}"]
        root = roots.pop()
        manifest_entry = entries.get(f"{root}/plugin.json")
        if manifest_entry is None:
            return [f"{root}/plugin.json is missing"]
        manifest = json.load(tar.extractfile(manifest_entry))
        if manifest["id"] != root:
            faults.append(f"the folder is {root}, the plugin's id {manifest['id']}")
        if not manifest.get("min_server_version"):
            faults.append("plugin.json states no min_server_version")
        for name, stated in manifest["server"]["executables"].items():
            entry = entries.get(f"{root}/{stated}")
            if entry is None:
                faults.append(f"plugin.json names {stated}, which is missing")
                continue
            if not entry.mode & 0o111:
                faults.append(f"{stated} may not be run: mode {entry.mode:o}")
            found = platform(tar.extractfile(entry).read(32))
            if found != name:
                faults.append(f"{stated} is said to be for {name} and is for {found}")
        for key in ("webapp", "icon_path"):
            stated = manifest.get(key)
            stated = stated.get("bundle_path") if isinstance(stated, dict) else stated
            if stated and f"{root}/{stated.lstrip('/')}" not in entries:
                faults.append(f"plugin.json names {stated}, which is missing")
        for needed in ("LICENSE", "assets/core.wasm", "public/console.js", "public/console.css"):
            if f"{root}/{needed}" not in entries:
                faults.append(f"{needed} is missing")
    return faults


def main() -> None:
    failed = False
    for argument in sys.argv[1:]:
        for fault in check(pathlib.Path(argument)):
            failed = True
            print(f"{argument}: {fault}", file=sys.stderr)
        if not failed:
            print(f"{argument}: every path in the manifest is there")
    sys.exit(failed or len(sys.argv) < 2)


if __name__ == "__main__":
    main()
