#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check.sh - every part of `make check`, cheapest first, with its seconds; and
# the sum at the end.

set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

passed=0
failed=0
skipped=0
times=''

part() { # TARGET
	local log=build/$1.log start=$SECONDS status p f s
	echo "== $1"
	make --no-print-directory "$1" 2>&1 | tee "$log"
	status=${PIPESTATUS[0]}
	# A part says its sum itself, or speaks TAP.
	if ! read -r p f s < <(sed -nE \
		's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p' "$log" | tail -n 1); then
		p=$(grep -cE '^ok ' "$log")
		f=$(grep -cE '^not ok ' "$log")
		s=$(grep -cE '^ok .*# SKIP' "$log")
		p=$((p - s))
	fi
	# To fail without a word, or to say nothing at all, is a failure too.
	[ "$status" -eq 0 ] || [ "$f" -gt 0 ] || f=1
	[ $((p + f + s)) -gt 0 ] || f=1
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	times+=$(printf '%-18s %4d s   %d passed, %d failed, %d skipped' \
		"$1" $((SECONDS - start)) "$p" "$f" "$s")$'\n'
}

mkdir -p build
start=$SECONDS
echo "== fetching kernels and kselftest, unless they are there"
scripts/cache.sh prefetch || exit 1
times+=$(printf '%-18s %4d s' fetch $((SECONDS - start)))$'\n'
for target in lint docs check-host check-build check-uml check-uml-plain check-vm \
	check-migration; do
	part "$target"
done

echo
printf '%s' "$times"
printf '%-18s %4d s\n\n' total $((SECONDS - start))
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
