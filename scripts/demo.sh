#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# demo.sh - migrate a guest with a Tern device from one QEMU to another.
#
#	MEMORY_MIB=64	the device's memory, a power of two
#	RATE_MIBS=8	what the guest writes, in MiB per second
#	LINK_MIBS=	what the link carries after the first pass: a quarter of that, 4 at
#			least. Above RATE_MIBS the passes get smaller
#	GUEST=none	no guest: the device writes by itself, and verifies
#
# All of it runs in a VM (scripts/vm.sh). The plot is left in build/demo.

set -euo pipefail
cd "$(dirname "$0")/.."

die() {
	printf 'demo: %s\n' "$*" >&2
	exit 1
}

memory=${MEMORY_MIB:-64}
rate=${RATE_MIBS:-8}
link=${LINK_MIBS:-0}
with=${GUEST:-linux}
[[ $memory =~ ^[1-9][0-9]*$ ]] && ((memory <= 4096 && (memory & (memory - 1)) == 0)) ||
	die "MEMORY_MIB=$memory: a power of two is needed, 4096 at most"
[[ $rate =~ ^[1-9][0-9]*$ ]] && ((rate <= 1024)) ||
	die "RATE_MIBS=$rate: a number is needed, 1024 at most"

[[ $link =~ ^[0-9]+$ ]] && ((link <= 1024)) ||
	die "LINK_MIBS=$link: a number is needed, 1024 at most"
[[ $with =~ ^(linux|none)$ ]] || die "GUEST=$with: linux or none"

# Source and destination hold the memory at the same time.
ram=$((1536 + 2 * memory))
free=$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo)
((free > ram)) || die "$free MiB of memory are free, $ram needed"

out=build/demo
rm -rf "$out"
mkdir -p "$out"

what="guest with $memory MiB of device memory"
[ "$with" = linux ] || what="device of $memory MiB without a guest"
echo "A $what writes $rate MiB/s, and migrates. This takes a minute or two."
module=$(scripts/build-module.sh)
initrd=$(scripts/migration-guest.sh)
kernel=$(scripts/cache.sh kernel 6.1)
qemu=$(scripts/cache.sh qemu 7.2)

scripts/vm.sh --kvm --mem "$ram" --timeout 1800 --out "$out/vm" -- \
	python3 tests/migration/demo.py --module "$module" --kernel "$kernel/boot/vmlinux" \
	--qemu "$qemu/usr/bin/qemu-system-x86_64" --initrd "$initrd" --logs /run/out/logs --result /run/out/result.json \
	--guest "$with" --memory-mib "$memory" --rate-mibs "$rate" --link-mibs "$link" 2>&1 |
	python3 tests/migration/show.py --result "$out/vm/result.json" --out "$out"
