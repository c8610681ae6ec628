#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-limits.sh - what Documentation/limits.rst states of QEMU, of mdev, and of MSI-X
# without KVM, run in VMs (tests/migration/limits.py; tests/vm); and of QEMU alone.

set -euo pipefail
cd "$(dirname "$0")/.."

status=0
for host in 6.1/7.2 6.12/10.0 trixie-backports; do
	scripts/check-migration.sh "$host" limits || status=1
done
scripts/vm-tap.sh mdev-race --kernel 6.1 -- bash tests/vm/mdev-race.sh \
	"$(scripts/build-module.sh 6.1)"
qemus=()
for version in 7.2 10.0 trixie-backports; do
	# A suite that cannot be fetched is reported by check-migration.sh.
	! root=$(scripts/cache.sh qemu $version) || qemus+=("$root/usr/bin/qemu-system-x86_64")
done
scripts/vm-tap.sh qemu-msix --kernel 6.1 --physical -- python3 tests/vm/qemu_msix.py "${qemus[@]}"
mkdir -p build/vm/qemu-cancel
tests/vm/qemu_cancel.py "${qemus[@]}" | tee build/vm/qemu-cancel/tap || true
scripts/tap.sh build/vm/{mdev-race,qemu-msix,qemu-cancel}/tap || status=1
exit $status
