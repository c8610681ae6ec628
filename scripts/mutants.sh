#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# mutants.sh [NAME...] - break each rule, and see that a test notices.
#
# A mutant is a patch in tests/mutants, with the rule it breaks and the suite
# that must notice: "host", "uml PROGRAM", or, for what needs two processors,
# "vm PROGRAM [OPTION...]". Each is applied to a copy of the
# tree. A mutant that its suite passes has survived, and fails the run.

set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
work=$top/build/mutants
rm -rf "$work"
mkdir -p "$work"

copy() { # DIR
	mkdir -p "$1"
	cp -r Kbuild Makefile src include scripts tests "$1/"
}

suite() { # DIR SUITE [PROGRAM [OPTION...]]
	case $2 in
	host)
		timeout 300 make -s -C "$1/tests/host" check COMPILERS=gcc -j "$(nproc)"
		;;
	uml)
		(cd "$1" && module=$(scripts/build-module.sh uml-debug) &&
			"$top/scripts/uml.sh" --timeout 120 --out "$1/uml" --add "$module" \
				--add "$top/build/selftests/$3" -- \
				sh -c "insmod tern.ko && ./$3 && rmmod tern")
		;;
	vm)
		(cd "$1" && module=$(scripts/build-module.sh 6.1) &&
			"$top/scripts/vm.sh" --timeout 120 --out "$1/vm" -- sh -c "
				modprobe -a vfio_iommu_type1 mdev libcrc32c &&
				insmod $module && timeout 100 $top/build/selftests/${*:3} && rmmod tern")
		;;
	*)
		echo "no such suite: $2" >&2
		return 0 # which makes the mutant survive
		;;
	esac
}

field() { # NAME FILE
	sed -n "s/^$1: //p" "$2" | head -n 1
}

[ $# -gt 0 ] || set -- tests/mutants/*.patch

# The programs that the VM runs, from the tree as it is.
mkdir -p build/selftests
make -s -C tests/selftests OUTPUT="$top/build/selftests" \
	KSFT="$(scripts/cache.sh kselftest)/tools/testing/selftests" >build/selftests.log 2>&1 || {
	cat build/selftests.log
	exit 1
}

# A suite that fails anyway would notice everything.
copy "$work/none"
for run in host "uml device_test" "uml memory_test" "uml migration_test" "uml region_test" \
	"vm attack_test -v none"; do
	# shellcheck disable=SC2086 # a suite and its program
	suite "$work/none" $run >"$work/none.log" 2>&1 || {
		cat "$work/none.log"
		echo "mutants: suite '$run' fails without any mutant" >&2
		exit 1
	}
done

# What a suite says when it notices.
# A VM that did not come up, or not in time, has said nothing.
spoke='^not ok|Assertion.*failed|runtime error:|AddressSanitizer|^(vm|uml): (the kernel complained|memory was leaked)'

killed=0
survived=0
for name; do
	name=$(basename "$name" .patch)
	patch=tests/mutants/$name.patch
	copy "$work/$name"
	if ! patch -s -p1 -d "$work/$name" <"$patch" >"$work/$name.log" 2>&1; then
		cat "$work/$name.log"
		survived=$((survived + 1))
		echo "not ok - $name: does not apply any more"
		continue
	fi
	# shellcheck disable=SC2046 # a suite and its program
	if suite "$work/$name" $(field Suite "$patch") >"$work/$name.log" 2>&1; then
		survived=$((survived + 1))
		echo "not ok - $name SURVIVED: $(field Rule "$patch")"
	elif grep -qE "$spoke" "$work/$name.log"; then
		killed=$((killed + 1))
		echo "ok - $name: $(grep -m 1 -E "$spoke" "$work/$name.log")"
	else
		# It did not get as far as a test.
		tail -n 20 "$work/$name.log"
		survived=$((survived + 1))
		echo "not ok - $name: no test spoke"
	fi
	rm -rf "${work:?}/$name"
done
echo "$killed passed, $survived failed, 0 skipped"
[ "$survived" -eq 0 ]
