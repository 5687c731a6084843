#!/usr/bin/env bash
# The courier against servers that are not ours: Postfix with SASL by Dovecot, and aiosmtpd from PyPI.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PATH:/usr/sbin:/sbin
aiosmtpd=1.4.6
venv=$PWD/.build/aiosmtpd-$aiosmtpd
if [ ! -e "$venv/ready" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check aiosmtpd==$aiosmtpd
  touch "$venv/ready"
fi
chosen=Independent
if [ "$(id -u)" != 0 ]; then
  echo "Postfix' and Dovecot's master processes run only as root: aiosmtpd alone is tried" >&2
  chosen=IndependentAiosmtpd
fi
cd server
AIOSMTPD_PYTHON=$venv/bin/python exec go test -mod=readonly -tags independent -count=1 -timeout 5m -run "$chosen" ./internal/courier
