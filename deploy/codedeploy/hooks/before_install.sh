#!/usr/bin/env bash
# See that the host can, clear what a killed release left, pull by digest.
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 -B -m host before-install
