#!/usr/bin/env bash
# Builds and runs the bench; see "go run . -h" for its options.
set -euo pipefail
cd "$(dirname "$0")"
go build -mod=readonly -o ../.build/bench .
exec ../.build/bench "$@"
