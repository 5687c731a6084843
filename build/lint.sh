#!/usr/bin/env bash
# Every lint, each to its end; one complaint fails the whole.
set -uo pipefail
cd "$(dirname "$0")/.."
staticcheck_version=v0.8.2
root=$PWD
failed=0
step() {
  printf '%s\n' "--- $*"
  "$@" </dev/null || { failed=1; echo "FAILED: $*"; }
}
within() { local folder=$1; shift; (cd "$folder" && "$@"); }
formatted() { local found; found=$(gofmt -l "$@"); [ -z "$found" ] || { echo "not gofmt'ed: $found"; return 1; }; }

step cargo fmt --all --check
step cargo clippy --workspace --all-targets --locked -- -D warnings
step build/wasm.sh lint
step build/check-providers.py

staticcheck=$root/.build/tools/staticcheck
if [ "$(cat "$staticcheck.version" 2>/dev/null)" != "$staticcheck_version-$(go env GOVERSION)" ]; then
  GOBIN=$root/.build/tools go install honnef.co/go/tools/cmd/staticcheck@$staticcheck_version &&
    echo "$staticcheck_version-$(go env GOVERSION)" > "$staticcheck.version"
fi
step formatted server e2e bench
for module in server e2e bench; do
  step within $module go vet ./...
  step within $module "$staticcheck" ./...
done
step within e2e/mattermost go vet ./...
step within server env GOOS=darwin go vet ./... # what only the other system compiles
for package in webapp e2e/browser; do
  step build/npm.sh $package
  step within $package npm run --silent lint
done
exit $failed
