#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-build.sh - tern.ko on the kernels of bookworm, trixie, trixie-backports and sid,
# each by its own compiler, with W=1 and sparse: not one line of warning. And headers
# without VFIO_MDEV get one clear line. The programs of make bench build, too: no other
# check has them.

set -euo pipefail
cd "$(dirname "$0")/.."

kernels=(6.1 6.12 trixie trixie-backports sid)
mkdir -p build
echo 1..$((${#kernels[@]} + 3)) | tee build/check-build.tap
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

for kernel in "${kernels[@]}"; do
	# A suite that cannot be fetched.
	if ! entry=$(scripts/cache.sh kernel "$kernel" 2>build/fetch.log) && [[ $kernel != 6.* ]]; then
		echo "ok - tern.ko on $kernel # SKIP $(tail -n 1 build/fetch.log)" |
			tee -a build/check-build.tap
		continue
	fi
	status=0
	quiet_build "$kernel" || status=$?
	checked=" C=2"
	# trixie's sparse does not parse the headers of 7.3; sid's parses those of 7.2.
	! grep -q 'sparse is not available or not up to date' "build/module-$kernel.log" ||
		checked=" (this suite's sparse cannot read these headers)"
	result "$status" "tern.ko on $kernel, $(<"$entry/release"), W=1$checked, without a warning"
done

# A kernel without mediated devices, as Debian's cloud flavour, and its real-time one
# since 7.2.
doctored=build/kdir-without-mdev
rm -rf "$doctored"
mkdir -p "$doctored"/include/{config,generated}
touch "$doctored/Makefile"
grep -v VFIO_MDEV "$(scripts/cache.sh kernel 6.1)/kdir/include/config/auto.conf" \
	>"$doctored/include/config/auto.conf"
status=0
while read -r release why; do
	echo "#define UTS_RELEASE \"$release\"" >"$doctored/include/generated/utsrelease.h"
	make modules KDIR="$PWD/$doctored" >build/without-mdev.log 2>&1 && status=1
	[ "$(grep -c '^tern: ' build/without-mdev.log)" -eq 1 ] &&
		grep -q "^tern: .* no CONFIG_VFIO_MDEV: .*$why" build/without-mdev.log || status=1
done <<'RELEASES'
6.1.0-50-cloud-amd64 cloud kernels lack it
7.3.4+deb13-rt-amd64 real-time kernels lack it since 7.2
7.3.4 build the kernel with
RELEASES
result "$status" "headers without CONFIG_VFIO_MDEV stop the build with one clear line"

status=0
make modules KDIR=/nowhere >build/without-headers.log 2>&1 && status=1
grep -q '^tern: no kernel headers at /nowhere: apt install' build/without-headers.log || status=1
result "$status" "no headers at all: the message says what to install"

status=0
make -s -C tests/bench KSFT="$(scripts/cache.sh kselftest)/tools/testing/selftests" \
	OUT="$PWD/build/check-bench" || status=1
result "$status" "the programs of make bench build"

scripts/tap.sh build/check-build.tap
