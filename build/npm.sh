#!/usr/bin/env bash
# A package's node_modules as its lock file has them; nothing is done where they are that already.
#   build/npm.sh <folder>
set -euo pipefail
cd "$1"
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo "installing the packages of $1"
  npm ci --no-fund --no-audit --silent
  touch node_modules/.package-lock.json
fi
