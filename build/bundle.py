#!/usr/bin/env python3
"""Builds the plugin's bundle: the executables, core.wasm, the web app, plugin.json, LICENSE in one tar.gz.

    build/bundle.py              dist/postroom-<version>.tar.gz, every platform of plugin.json
    build/bundle.py --host-only  .build/bundle/postroom.tar.gz, this machine's platform only: for tests and the demo

The same tree gives the same bytes, wherever it lies and whoever builds it (--tree and --out are for the check
of that).
"""
import argparse
import gzip
import io
import json
import os
import pathlib
import subprocess
import tarfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def compile_server(tree: pathlib.Path, platform: str, target: pathlib.Path) -> None:
    system, architecture = platform.split("-")
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", str(target), "."],
        cwd=tree / "server",
        env={**os.environ, "GOOS": system, "GOARCH": architecture, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"},
        check=True,
    )


def host_platform() -> str:
    asked = subprocess.run(["go", "env", "GOHOSTOS", "GOHOSTARCH"], check=True, capture_output=True, text=True)
    return "-".join(asked.stdout.split())


def pack(folder: str, files: dict[str, tuple[bytes, int]]) -> bytes:
    """A tar.gz without a trace of when, where and by whom: sorted names, time 0, owner 0."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0, compresslevel=9) as zipped:
        with tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            folders = {folder}
            for name in files:
                parts = pathlib.PurePosixPath(name).parts[:-1]
                folders |= {"/".join((folder, *parts[: i + 1])) for i in range(len(parts))}
            for name in sorted(folders):
                entry = tarfile.TarInfo(name)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
            for name in sorted(files):
                content, mode = files[name]
                entry = tarfile.TarInfo(f"{folder}/{name}")
                entry.size, entry.mode = len(content), mode
                tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--host-only", action="store_true")
    options.add_argument("--tree", type=pathlib.Path, default=ROOT)
    options.add_argument("--out", type=pathlib.Path)
    chosen = options.parse_args()
    tree = chosen.tree

    manifest = json.loads((tree / "plugin.json").read_text())
    executables = manifest["server"]["executables"]
    out = chosen.out or ROOT / "dist" / f"{manifest['id']}-{manifest['version']}.tar.gz"
    manifest_bytes = (tree / "plugin.json").read_bytes()
    if chosen.host_only:
        host = host_platform()
        if host not in executables:
            raise SystemExit(f"plugin.json has no executable for {host}; the plugin runs on {', '.join(executables)}")
        executables = manifest["server"]["executables"] = {host: executables[host]}
        manifest_bytes = json.dumps(manifest, indent=2).encode()
        out = chosen.out or ROOT / ".build" / "bundle" / "postroom.tar.gz"

    wasm = ROOT / ".build" / "core.wasm"
    if not wasm.exists():
        raise SystemExit(f"{wasm} is missing: run `make wasm` first")

    subprocess.run([str(ROOT / "build" / "webapp.sh"), str(tree)], check=True)
    web = tree / "webapp" / "dist"

    files = {
        "plugin.json": (manifest_bytes, 0o644),
        "LICENSE": ((tree / "LICENSE").read_bytes(), 0o644),
        "assets/core.wasm": (wasm.read_bytes(), 0o644),
        # Mattermost serves the first to all its pages, and what lies in public/ beside the plugin's own.
        manifest["webapp"]["bundle_path"]: ((web / "plugin" / "main.js").read_bytes(), 0o644),
        **{f"public/{path.name}": (path.read_bytes(), 0o644) for path in sorted((web / "public").iterdir())},
    }
    for platform, path in executables.items():
        target = tree / ".build" / "server" / platform / pathlib.Path(path).name
        compile_server(tree, platform, target)
        files[path] = (target.read_bytes(), 0o755)

    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".partial")
    partial.write_bytes(pack(manifest["id"], files))
    partial.rename(out)
    print(f"{out} ({out.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
