#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-mtty.sh [--write] - what any v2 device owes (tests/selftests/v2_test.c), asked
# of the kernel's own sample, mtty, on User Mode Linux 6.12 with KASAN. Prints what
# it fails as tables, and fails if those are not the ones of Documentation/mtty.rst;
# --write puts them there.
#
# A kernel for each test: KASAN reports the first fault of a boot only, and some
# tests leave no kernel to go on with.

set -euo pipefail
cd "$(dirname "$0")/.."

kselftest=$(scripts/cache.sh kselftest)
kernel=$(scripts/cache.sh uml debug)
rm -rf build/mtty
mkdir -p build/selftests build/mtty
make -s -C tests/selftests KSFT="$kselftest/tools/testing/selftests" \
	OUTPUT="$(readlink -e build/selftests)" >build/selftests.log 2>&1 || {
	cat build/selftests.log
	exit 1
}

type=/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-1
echo "# mtty of Linux $(<"$kernel/release")"
for test in $(sed -n 's/^TEST_F(\(\w*\), \(\w*\))$/\1.\2/p' tests/selftests/v2_test.c); do
	# Its status says little: failures are what is looked for. And a folder each: what
	# is left of a kernel that crashed holds on to its own for a moment.
	mkdir "build/mtty/$test"
	scripts/uml.sh --kernel debug --timeout 60 --out "build/mtty/$test" --add build/selftests/v2_test \
		--add "$kernel/modules/mtty.ko" -- \
		sh -c "insmod mtty.ko && TERN_MDEV_TYPE=$type ./v2_test -r $test" \
		>"build/mtty/$test/tap" 2>"build/mtty/$test/uml" || true
	rm -rf "build/mtty/$test/root"
done
scripts/mtty.py "$@" build/mtty Documentation/mtty.rst
