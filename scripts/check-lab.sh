#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-lab.sh [--write] - what QEMU 7.2, 10.0 and 11.1 make of each rule of injection
# (tests/migration/situations.py), and whether Documentation/vmm.rst says the same. With
# --write the page is written. Then the session of ten-minutes.rst, with two QEMUs.

set -euo pipefail
cd "$(dirname "$0")/.."

status=0
taps=()
for host in 6.1/7.2 uml/10.0 uml/trixie-backports; do
	scripts/check-migration.sh "$host" situations || status=1
	tap=build/vm/migration-${host%/*}-${host#*/}/tap
	# A suite that cannot be fetched was reported.
	[ ! -e "$tap" ] || taps+=("$tap")
done
if [ "${1:-}" = --write ]; then
	scripts/vmm.py --write "${taps[@]}"
	exit $status
fi
scripts/vmm.py "${taps[@]}" | tee build/vm/vmm.tap || true
scripts/check-by-hand.sh --long || status=1
scripts/tap.sh build/vm/vmm.tap || status=1
exit $status
