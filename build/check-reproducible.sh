#!/usr/bin/env bash
# Builds the bundle again from a copy of the tree in another folder: its bytes must be those of dist/.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
first=$(ls "$root"/dist/postroom-*.tar.gz)
elsewhere=$(mktemp -d)
trap 'rm -rf "$elsewhere"' EXIT
cp -r "$root/server" "$root/plugin.json" "$root/LICENSE" "$elsewhere/"
mkdir "$elsewhere/webapp"
cp -r "$root"/webapp/{src,package.json,package-lock.json,tsconfig.json,vite.config.ts} "$elsewhere/webapp/"
# Other times, other modes: neither may show.
find "$elsewhere" -type f -exec touch -d 2001-01-01 {} + -exec chmod o-r {} +
"$root/build/bundle.py" --tree "$elsewhere" --out "$elsewhere/again.tar.gz" >/dev/null
cmp "$first" "$elsewhere/again.tar.gz"
echo "$first: a second build elsewhere has the same bytes"
