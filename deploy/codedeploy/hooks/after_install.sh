#!/usr/bin/env bash
# Start the new container beside the old one, which answers on.
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 -B -m host after-install
