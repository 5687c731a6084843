#!/usr/bin/env bash
# Runs the test sections, all of them or those named, each to its end, and sums up: one fails, the whole fails.
set -uo pipefail
cd "$(dirname "$0")/.."
export PATH=$PATH:/usr/sbin:/sbin

all=(deps wasm rust webapp server independent bundle mattermost bench e2e browser)
chosen=("$@")
[ ${#chosen[@]} -gt 0 ] || chosen=("${all[@]}")

deps() { build/deps.sh; }
wasm() { build/wasm.sh; }
rust() { cargo test --workspace --locked; }
webapp() { build/npm.sh webapp && build/webapp.sh && (cd webapp && npm test); }
# Two packages at a time: more, with -race and PostgreSQL, starve each other on a small machine.
server() { (cd server && go test -mod=readonly -race -p 2 -timeout 20m ./...); }
independent() { build/independent.sh; }
bundle() { build/bundle.py && build/check-bundle.py dist/postroom-*.tar.gz && build/check-reproducible.sh && build/bundle.py --host-only; }
mattermost() { build/mattermost.sh; }
bench() { (cd bench && go test -mod=readonly ./...); }
# -v, so that a long run shows where it is.
e2e() { (cd e2e && go build -mod=readonly -o ../.build/ ./cmd/... && go test -mod=readonly -count=1 -v -timeout 40m ./specs); }
browser() { build/npm.sh e2e/browser && (cd e2e/browser && npm test); }

declare -A took result
failed=0
for section in "${chosen[@]}"; do
  printf '\n===== %s =====\n' "$section"
  started=$SECONDS
  if "$section" </dev/null; then result[$section]=passed; else result[$section]=FAILED; failed=1; fi
  took[$section]=$((SECONDS - started))
done

printf '\n===== summary =====\n'
for section in "${chosen[@]}"; do
  printf '%-12s %-7s %5d s\n' "$section" "${result[$section]}" "${took[$section]}"
done
exit "$failed"
