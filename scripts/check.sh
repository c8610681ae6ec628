#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check.sh - every part of `make check`, cheapest first, with its seconds; and
# at the end what failed, and the sum.

set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

results=build/check.results
failures=build/check.failures
mkdir -p build
: >$results
rm -f $failures.*

part() { # TARGET
	local start=$SECONDS status=0 counted passed failed skipped
	echo "== $1"
	make --no-print-directory "$1" 2>&1 | tee "build/$1.log" || status=1
	counted=$(scripts/tap.sh "build/$1.log")
	read -r passed _ failed _ skipped _ < <(tail -n 1 <<<"$counted")
	# To fail without a failed test is a failure too.
	[ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
	if [ "$failed" -gt 0 ]; then
		# The sum of a run must say what failed: its other output may be out of reach.
		echo "$1 (build/$1.log):"
		grep -A 5 -E '^not ok|^Bail out!' "build/$1.log" || tail -n 5 "build/$1.log"
		sed '$d' <<<"$counted"
	fi >"$failures.$1"
	printf '%s %d %d %d %d\n' "$1" $((SECONDS - start)) "$passed" "$failed" "$skipped" >>$results
}

parts() { # TARGET...
	local target
	for target; do
		part "$target"
	done
}

# Do what the queue still has.
lane() {
	local target lock
	exec {lock}>build/check.lock
	while flock "$lock" && read -r -u 3 target; do
		flock -u "$lock"
		part "$target" 3<&-
	done
	exec {lock}>&-
}

# Parts that keep one processor busy each, as an emulated machine or User Mode Linux does:
# two at once, the longest ones first. What the second lane prints is shown at the end.
queue() { # TARGET...
	printf '%s\n' "$@" >build/check.queue
	exec 3<build/check.queue
	set -m # a process group, to end all of it at once
	lane </dev/null >build/others.log 2>&1 &
	other=$!
	set +m
	trap 'kill -- -$other 2>/dev/null' EXIT
	lane
	echo "== the other lane"
	tail -n +1 -F --pid "$other" build/others.log 2>/dev/null
	wait "$other"
	trap - EXIT
	# A part whose shell was killed has no result: that is a failure.
	for target; do
		grep -q "^$target " $results || echo "$target 0 0 1 0" >>$results
	done
}

echo "== fetching kernels and kselftest, unless they are there"
scripts/cache.sh prefetch || exit 1
printf 'fetch %d\n' $SECONDS >>$results
queue check-build lint check-host docs
parts check-uml check-uml-plain
queue check-iommufd-ways check-iommufd-sessions check-migration check-vm check-by-hand check-v2

if cat $failures.* | grep -q .; then
	echo
	echo '== what failed'
	cat $failures.*
fi
echo
awk -v total=$SECONDS '
	{ printf "%-22s %4d s", $1, $2 }
	NF > 2 { printf "   %d passed, %d failed, %d skipped", $3, $4, $5 }
	{ print ""; passed += $3; failed += $4; skipped += $5 }
	END {
		printf "%-22s %4d s\n\n", "total", total
		printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
		exit (failed > 0)
	}' $results
