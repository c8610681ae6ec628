#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# mutants.sh [NAME...] - break each rule, and see that a test notices.
#
# A mutant is a patch in tests/mutants, with the rule it breaks and the suite
# that must notice: "host", "uml PROGRAM [OPTION...]", "uml-plain" for what its other
# kernel has, or, for what needs two processors or userfaultfd, "vm PROGRAM
# [OPTION...]", or "vm-edu PROGRAM" with a physical device. Each is applied to a
# copy of the tree. A
# mutant that its suite passes has survived, and fails the run.
#
# Two run at a time, each in a folder of its own, where only what changed is built
# again; those in a VM come last, one by one: they measure races.

set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
work=$top/build/mutants
uml=$(scripts/uml-kernel.sh)
rm -rf "$work"
mkdir -p "$work"

copy() { # DIR
	mkdir -p "$1"
	rsync -rc --delete --exclude=/build --exclude=/uml --exclude=/vm \
		Kbuild Makefile src include scripts tests "$1/"
}

suite() { # DIR SUITE [PROGRAM [OPTION...]]
	local kernel
	case $2 in
	host)
		timeout 300 make -s -C "$1/tests/host" check COMPILERS=gcc -j 2
		;;
	uml | uml-plain)
		kernel=${2#uml}
		kernel=${kernel#-}
		kernel=${kernel:-$uml}
		(cd "$1" && module=$(scripts/build-module.sh "uml-$kernel") &&
			"$top/scripts/uml.sh" --kernel "$kernel" --timeout 200 --out "$1/uml" --add "$module" \
				--add "$top/build/selftests/$3" -- \
				sh -c "insmod tern.ko && ./${*:3}$(scripts/not-here.sh "$3") && rmmod tern")
		;;
	vm)
		(cd "$1" && module=$(scripts/build-module.sh 6.1) &&
			"$top/scripts/vm.sh" --timeout 120 --out "$1/vm" -- sh -c "
				modprobe -a vfio_iommu_type1 mdev libcrc32c fuse &&
				insmod $module && timeout 100 $top/build/selftests/${*:3} && rmmod tern")
		;;
	vm-edu)
		(cd "$1" && module=$(scripts/build-module.sh 6.1) &&
			"$top/scripts/vm.sh" --physical --timeout 120 --out "$1/vm" -- \
				bash tests/vm/pinned.sh "$module" "$top/build/selftests/$3")
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

# What a suite prints when it notices. A VM that did not come up, or not in time, has
# printed nothing.
notice='^not ok|Assertion.*failed|runtime error:|AddressSanitizer|^(vm|uml): (the kernel complained|memory was leaked)'

unmutated() { # DIR SUITE
	local log
	log=$work/none-${2// /-}.log
	copy "$1"
	# shellcheck disable=SC2086 # a suite and its program
	if suite "$1" $2 >"$log" 2>&1; then
		echo "# without any mutant '$2' passes"
	else
		tail -n 40 "$log"
		echo "not ok - suite '$2' fails without any mutant: it would notice everything"
	fi
}

mutant() { # DIR NAME
	local patch=tests/mutants/$2.patch log=$work/$2.log began=$SECONDS
	copy "$1"
	if ! patch -s -p1 -F0 -d "$1" <"$patch" >"$log" 2>&1; then
		sed 's/^/# /' "$log"
		echo "not ok - $2: does not apply any more"
		return
	fi
	# shellcheck disable=SC2046 # a suite and its program
	if suite "$1" $(field Suite "$patch") >"$log" 2>&1; then
		echo "not ok - $2 SURVIVED: $(field Rule "$patch")"
	elif grep -qE "$notice" "$log"; then
		echo "ok - $2: $(grep -m 1 -E "$notice" "$log") # $((SECONDS - began)) s"
	else
		# It did not get as far as a test.
		tail -n 20 "$log" | sed 's/^/# /'
		echo "not ok - $2: no test failed"
	fi
}

# Do jobs until there are none left. Output comes in one piece.
worker() { # DIR WHAT
	local job output
	exec {lock}>"$work/lock"
	while flock "$lock" && read -r -u 3 job; do
		flock -u "$lock"
		output=$("$2" "$1" "$job" || true)
		printf '%s\n' "$output" >>"$work/output"
		printf '%s\n' "$output"
		# How far it is.
		[ "$2" = unmutated ] ||
			echo "# $(grep -cE '^(not )?ok - ' "$work/output") of $total, $((SECONDS / 60)) min"
	done
	exec {lock}>&-
}

work_off() { # WORKERS WHAT, the jobs from stdin
	local n=$1 what=$2 i
	exec 3<&0
	for ((i = 0; i < n; i++)); do
		worker "$work/$i" "$what" &
	done
	wait
}

[ $# -gt 0 ] || set -- tests/mutants/*.patch
total=$#
: >"$work/output"

# The programs that the VM runs, from the tree as it is.
mkdir -p build/selftests
make -s -C tests/selftests OUTPUT="$top/build/selftests" \
	KSFT="$(scripts/cache.sh kselftest)/tools/testing/selftests" >build/selftests.log 2>&1 || {
	cat build/selftests.log
	exit 1
}

# SUITE NAME, one line per mutant.
for name; do
	name=$(basename "$name" .patch)
	[ -e "tests/mutants/$name.patch" ] || {
		echo "mutants: there is no $name" >&2
		exit 1
	}
	printf '%s\t%s\n' "$(field Suite "tests/mutants/$name.patch")" "$name"
done >"$work/all"
grep -v '^vm' "$work/all" >"$work/here" || true
grep '^vm' "$work/all" >"$work/vm" || true

cut -f 1 "$work/here" | sort -u | work_off 2 unmutated
cut -f 1 "$work/vm" | sort -u | work_off 1 unmutated
! grep -q '^not ok' "$work/output" || exit 1
echo "1..$total" | tee "$work/output"
cut -f 2 "$work/here" | work_off 2 mutant
cut -f 2 "$work/vm" | work_off 1 mutant

scripts/tap.sh "$work/output"
