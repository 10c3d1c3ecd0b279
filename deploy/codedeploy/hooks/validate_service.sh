#!/usr/bin/env bash
# Hold the proxy's answers against the bundle's; then drain and end the old container.
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 -B -m host validate-service
