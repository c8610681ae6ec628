#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-migration.sh - live migration between two QEMUs, in a VM: every page is
# checked by the guest that wrote it (tests/migration/harness.py). What the
# QEMUs and their guests said is left in build/vm/migration/logs.

set -euo pipefail
cd "$(dirname "$0")/.."

module=$(scripts/build-module.sh)
initrd=$(scripts/migration-guest.sh)
kernel=$(scripts/cache.sh kernel 6.1)
out=build/vm/migration
rm -rf "$out/logs"
mkdir -p "$out"

status=0
scripts/vm.sh --kvm --mem 2560 --timeout 900 --out "$out" -- \
	python3 tests/migration/harness.py --module "$module" --kernel "$kernel/boot/vmlinux" \
	--initrd "$initrd" --logs /run/out/logs | tee "$out/tap" || status=$?

passed=$(grep -c '^ok ' "$out/tap" || true)
failed=$(grep -c '^not ok ' "$out/tap" || true)
planned=$(sed -n 's/^1\.\.//p' "$out/tap")
# A test that did not speak has failed, and so has a VM that went wrong.
missing=$((${planned:-1} - passed - failed))
if [ "$missing" -ne 0 ]; then
	echo "not ok - $missing tests of ${planned:-?} said nothing"
	failed=$((failed + missing))
elif [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
	echo "not ok - the VM: status $status"
	failed=1
fi
[ "$failed" -eq 0 ] || echo "# what the QEMUs and guests said: $out/logs"
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
