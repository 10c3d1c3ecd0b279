#!/usr/bin/env bash
# All hooks at once, for a host without CodeDeploy (a self-hosted runner, or by hand as root):
#   deploy/codedeploy/release.sh IMAGE@sha256:DIGEST --problem iris --port 5080
# In an unpacked revision no argument is needed. A container that is not fit never answers.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# In a revision the package lies beside this file, in a checkout one folder up.
PYTHONPATH=$here:$here/.. exec python3 -B -m host release --revision "$here" "$@"
