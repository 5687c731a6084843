#!/usr/bin/env bash
# What the tests need beyond Go, Rust, Node and Python. As root on Debian the missing packages are installed;
# otherwise one line says which are missing and what can't run without them.
set -euo pipefail
rustup target add wasm32-wasip1 wasm32-unknown-unknown >/dev/null 2>&1 ||
  echo "rustup could not add the targets wasm32-wasip1 and wasm32-unknown-unknown" >&2

declare -A packages=([clang]=clang [smtp-sink]=postfix [dovecot]=dovecot-core [nginx]=nginx-light [caddy]=caddy [chromium]=chromium [promtool]=prometheus [venv]=python3-venv)
declare -A needed_by=([clang]="building the core (the ziglang wheel is taken instead)" [smtp-sink]="e2e" [dovecot]="independent" [nginx]="e2e" [caddy]="e2e" [chromium]="browser" [promtool]="e2e" [venv]="independent")
PATH=$PATH:/usr/sbin:/sbin

missing() {
  for tool in "${!packages[@]}"; do
    case $tool in
      venv) python3 -c 'import ensurepip' 2>/dev/null || echo "$tool" ;;
      *) command -v "$tool" >/dev/null || echo "$tool" ;;
    esac
  done
}

wanted=$(missing)
[ -z "$wanted" ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  names=()
  for tool in $wanted; do names+=("${packages[$tool]}"); done
  echo "installing ${names[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # Postfix must ask nothing and set up nothing; no service is to start: the tests start their own.
  debconf-set-selections <<<'postfix postfix/main_mailer_type select No configuration'
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${names[@]}" >/dev/null
  wanted=$(missing)
fi

line=""
for tool in $wanted; do line+="${line:+; }$tool (Debian: ${packages[$tool]}), needed by ${needed_by[$tool]}"; done
[ -z "$line" ] || echo "MISSING: $line"
