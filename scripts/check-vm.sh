#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-vm.sh [KERNEL...] - the module and its selftests in a VM with a stock
# Debian kernel (6.1 and 6.12), by /dev/vfio and with no VMM; and the README's
# session by hand, as it is printed there, with QEMU 7.2 and 10.0.
#
# What the kernel complains of fails the run (vm.sh), and so does silence.

set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD

[ $# -gt 0 ] || set -- 6.1 6.12
kselftest=$(scripts/cache.sh kselftest)
make -s -C tests/selftests KSFT="$kselftest/tools/testing/selftests" \
	OUTPUT="$(mkdir -p build/selftests && readlink -e build/selftests)" >build/selftests.log 2>&1 || {
	cat build/selftests.log
	exit 1
}

passed=0
failed=0
skipped=0
for kernel; do
	module=$(scripts/build-module.sh "$kernel")
	out=build/vm/selftests-$kernel
	mkdir -p "$out"
	echo "# kernel $kernel"
	status=0
	scripts/vm.sh --kernel "$kernel" --numa --out "$out" -- bash tests/vm/selftests.sh \
		"$top" "$module" "$kselftest/tools/testing/selftests" |
		tee "$out/tap" || status=$?
	# TAP of the programs; the totals that kselftest prints are not counted twice.
	passed=$((passed + $(grep -cE '^ok ' "$out/tap" || true)))
	failed=$((failed + $(grep -cE '^not ok ' "$out/tap" || true)))
	skipped=$((skipped + $(grep -cE '^ok .*# SKIP' "$out/tap" || true)))
	if [ "$status" -ne 0 ]; then
		failed=$((failed + 1))
		echo "not ok - the VM with $kernel: status $status (see $out)"
	elif [ "$(grep -cE '^ok ' "$out/tap")" -lt 247 ]; then
		failed=$((failed + 1))
		echo "not ok - the VM with $kernel: too few tests spoke"
	fi
done

# A physical device that has BAR2 pinned: on 6.1, later kernels do not allow it.
out=build/vm/pinned
mkdir -p "$out"
status=0
scripts/vm.sh --kernel 6.1 --edu --out "$out" -- bash tests/vm/pinned.sh \
	"$(scripts/build-module.sh 6.1)" "$top/build/selftests/pinned_test" | tee "$out/tap" || status=$?
passed=$((passed + $(grep -cE '^ok ' "$out/tap" || true)))
skipped=$((skipped + $(grep -cE '^ok .*# SKIP' "$out/tap" || true)))
if [ "$status" -ne 0 ] || [ "$(grep -cE '^ok ' "$out/tap")" -lt 1 ]; then
	failed=$((failed + 1))
	echo "not ok - with a physical device: status $status (see $out)"
fi

# The tree in which the README's session is done, built here: an emulated machine
# finds it made, and need not take minutes. One processor: with two, the guests
# of an emulated machine hang now and then.
kdir=$(readlink -e "$(scripts/cache.sh kernel 6.1)/kdir")
tree=$top/build/by-hand
out=build/vm/by-hand
rm -rf "$tree"
mkdir -p "$tree" "$out"
cp -r Kbuild Makefile src include scripts "$tree/"
make -s -C "$tree" modules KDIR="$kdir" >build/by-hand.log 2>&1
status=0
scripts/vm.sh --kernel 6.1 --kvm --cpus 1 --out "$out" -- \
	bash tests/vm/by-hand.sh "$top" "$tree" "$kdir" "$(scripts/cache.sh qemu 10.0)" | tee "$out/tap" || status=$?
passed=$((passed + $(grep -cE '^ok ' "$out/tap" || true)))
if [ "$status" -ne 0 ] || [ "$(grep -cE '^ok ' "$out/tap")" -lt 4 ]; then
	failed=$((failed + 1))
	echo "not ok - the session by hand: status $status (see $out)"
fi

passed=$((passed - skipped))
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
