#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-limits.sh - what Documentation/limits.rst states of QEMU 7.2 and 10.0, run in a
# VM (tests/migration/limits.py).

set -euo pipefail
cd "$(dirname "$0")/.."

status=0
for host in 6.1/7.2 6.12/10.0; do
	scripts/check-migration.sh "$host" limits || status=1
done
exit $status
