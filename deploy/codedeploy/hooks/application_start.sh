#!/usr/bin/env bash
# Once the new container is ready, right and quick, flip the proxy to it.
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 -B -m host application-start
