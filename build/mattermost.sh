#!/usr/bin/env bash
# Builds the real Mattermost server and mmctl from the Go module proxy into .build/mattermost, with the folders
# that the server wants beside it. Does nothing when that was done for the same go.mod and go.sum.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
out=$root/.build/mattermost
module=github.com/mattermost/mattermost/server/v8
cd "$root/e2e/mattermost"

want=$(cat go.mod go.sum "$root/build/mattermost.sh" | sha256sum | cut -d' ' -f1)-$(go env GOVERSION GOOS GOARCH | tr '\n' '-')
if [ -f "$out/stamp" ] && [ "$(cat "$out/stamp")" = "$want" ]; then
  exit 0
fi

echo "building the real Mattermost server (about 4 minutes on 2 cores, once)"
mkdir -p "$out"
rm -f "$out/stamp"
started=$(date +%s)
( # told to end, it takes its sleep with it
  trap 'kill $!; exit' TERM
  while sleep 30 & wait $!; do echo "  still building, $(($(date +%s) - started)) s"; done
) &
ticker=$!
trap 'kill "$ticker" 2>/dev/null || true' EXIT

go build -mod=readonly -trimpath -o "$out/" "$module/cmd/mattermost" "$module/cmd/mmctl"
source=$(go list -mod=readonly -m -f '{{.Dir}}' "$module")
for folder in i18n templates fonts; do
  rm -rf "${out:?}/$folder"
  cp -r "$source/$folder" "$out/$folder"
  chmod -R u+w "$out/$folder"
done
# mmctl asks for the root page before it logs in, and the module has no web app.
mkdir -p "$out/client"
echo '<!doctype html><title>Mattermost</title>' > "$out/client/root.html"
echo "$want" > "$out/stamp"
echo "built in $(($(date +%s) - started)) s"
