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

account() { # TARGET STATUS SECONDS
	local p f s
	read -r p _ f _ s _ < <(scripts/tap.sh "build/$1.log" | tail -n 1)
	# To fail without a failed test is a failure too.
	[ "$2" -eq 0 ] || [ "$f" -gt 0 ] || f=1
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	times+=$(printf '%-18s %4d s   %d passed, %d failed, %d skipped' \
		"$1" "$3" "$p" "$f" "$s")$'\n'
}

part() { # TARGET
	local start=$SECONDS
	echo "== $1"
	make --no-print-directory "$1" 2>&1 | tee "build/$1.log"
	account "$1" "${PIPESTATUS[0]}" $((SECONDS - start))
}

# Two parts at once, one after the other on the screen: an emulated machine that hosts
# guests uses one processor.
pair() { # TARGET TARGET
	local start=$SECONDS status=0
	setsid make --no-print-directory "$2" >"build/$2.log" 2>&1 &
	other=$!
	trap 'kill -- -$other 2>/dev/null' EXIT
	echo "== $2 has begun, and is shown after $1"
	part "$1"
	echo "== $2"
	tail -n +1 -F --pid "$other" "build/$2.log" 2>/dev/null &
	wait "$other" || status=$?
	wait
	trap - EXIT
	account "$2" "$status" $((SECONDS - start))
}

mkdir -p build
start=$SECONDS
echo "== fetching kernels and kselftest, unless they are there"
scripts/cache.sh prefetch || exit 1
times+=$(printf '%-18s %4d s' fetch $((SECONDS - start)))$'\n'
for target in lint docs check-host check-build check-uml check-uml-plain check-vm; do
	part "$target"
done
pair check-migration check-v2

echo
printf '%s' "$times"
printf '%-18s %4d s\n\n' total $((SECONDS - start))
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
