#!/usr/bin/env bash
# The web app for the bundle: webapp/dist/plugin/main.js, webapp/dist/public/. Does nothing when that was done for the
# same sources. Another tree than this one (for the check of reproducible bytes) borrows this one's node_modules.
#   build/webapp.sh [tree]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
tree=${1:-$root}
cd "$tree/webapp"

want=$(find src package-lock.json tsconfig.json vite.config.ts ../plugin.json "$root/build/webapp.sh" -type f -print0 | LC_ALL=C sort -z |
  xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
[ "$(cat dist/stamp 2>/dev/null)" != "$want" ] || exit 0

if [ "$tree" != "$root" ]; then
  ln -sfn "$root/webapp/node_modules" node_modules
else
  "$root/build/npm.sh" .
fi
rm -f dist/stamp
for part in plugin console; do
  node_modules/.bin/vite build --mode $part
done
limit=60000 size=$(gzip -9c dist/plugin/main.js | wc -c)
[ "$size" -le $limit ] || { echo "main.js has $size octets gzipped; $limit are the limit" >&2; exit 1; }
echo "$want" > dist/stamp
echo "main.js $size octets gzipped, console.js $(gzip -9c dist/public/console.js | wc -c)"
