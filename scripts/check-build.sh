#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-build.sh - tern.ko on both of bookworm's kernels, W=1 and sparse: not
# one line of warning; and headers without VFIO_MDEV get one clear line.

set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p build
echo 1..4 | tee build/check-build.tap
result() { # STATUS NAME
	if [ "$1" -eq 0 ]; then
		echo "ok - $2"
	else
		echo "not ok - $2"
	fi | tee -a build/check-build.tap
}

quiet_build() { # KERNEL
	local log=build/module-$1.log
	scripts/build-module.sh "$1" W=1 C=2 >"$log" 2>&1 || {
		cat "$log"
		return 1
	}
	# pahole has no vmlinux to look at with hand-made headers; that is no warning.
	if grep -E 'warning:|error:|WARNING' "$log"; then
		return 1
	fi
}

for kernel in 6.1 6.12; do
	status=0
	quiet_build "$kernel" || status=$?
	result "$status" "tern.ko on $kernel, W=1 C=2, without a warning"
done

# A kernel without mediated devices, as Debian's cloud flavour.
doctored=build/kdir-without-mdev
rm -rf "$doctored"
mkdir -p "$doctored/include/config"
touch "$doctored/Makefile"
grep -v VFIO_MDEV "$(scripts/cache.sh kernel 6.1)/kdir/include/config/auto.conf" \
	>"$doctored/include/config/auto.conf"
status=0
make modules KDIR="$PWD/$doctored" >build/without-mdev.log 2>&1 && status=1
[ "$(grep -c '^tern: .*CONFIG_VFIO_MDEV' build/without-mdev.log)" -eq 1 ] || status=1
result "$status" "headers without CONFIG_VFIO_MDEV stop the build with one clear line"

status=0
make modules KDIR=/nowhere >build/without-headers.log 2>&1 && status=1
grep -q '^tern: no kernel headers at /nowhere: apt install' build/without-headers.log || status=1
result "$status" "no headers at all: the message says what to install"

scripts/tap.sh build/check-build.tap
