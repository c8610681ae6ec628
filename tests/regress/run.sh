#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh [check] - the reproducers of tests/regress/bugs that need no VM; with check
# only see that each test that is named there exists.

set -euo pipefail
cd "$(dirname "$0")/../.."
top=$PWD
selftests=$top/build/selftests
list=tests/regress/bugs

bugs() { # SUITE
	grep -v '^#' "$list" | awk -F '\t' -v suite="$1" '$1 == suite'
}

source_of() { # SUITE PROGRAM
	case $1 in
	host) echo "tests/host/$2.c" ;;
	migration) echo "tests/migration/$2" ;;
	*) echo "tests/selftests/$2.c" ;;
	esac
}

if [ "${1:-}" = check ]; then
	bad=0
	while IFS=$'\t' read -r suite program test _; do
		[ "$test" = '*' ] || grep -qE "\b$test\b" "$(source_of "$suite" "$program")" || {
			echo "$list: no $test in $program"
			bad=1
		}
	done < <(grep -v '^#' "$list")
	exit $bad
fi

mkdir -p build/uml build/regress
failed=0
bugs host | cut -f 2 | sort -u | sed 's/^/run-gcc-/' |
	xargs make -s -C tests/host | tee build/regress/tap || failed=1
make -s -C tests/selftests KSFT="$(scripts/cache.sh kselftest)/tools/testing/selftests" \
	OUTPUT="$selftests" >build/selftests.log
module=$(scripts/build-module.sh "uml-$(scripts/uml-kernel.sh)")
jobs=() files=(--add "$module" --add tests/uml/selftests.sh)
while IFS=$'\t' read -r _ program test bug; do
	echo "# $program $test: $bug"
	files+=(--add "$selftests/$program")
	[ "$test" = '*' ] && jobs+=("$program") || jobs+=("$program -t $test")
done < <(bugs uml)
scripts/uml.sh --out build/uml/regress "${files[@]}" -- sh ./selftests.sh "${jobs[@]}" |
	tee -a build/regress/tap || failed=1
for suite in vm migration; do
	bugs "$suite" | while IFS=$'\t' read -r _ program test bug; do
		echo "# in check-$suite: $program $test: $bug"
	done
done
scripts/tap.sh build/regress/tap
[ "$failed" -eq 0 ]
