#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# run.sh TARGET CORPUS SECONDS - fuzz, and say how much was tried. What was
# learned stays in TARGET.corpus; an input that breaks something is written to
# TARGET-crash-*.

name=$(basename "$1")
mkdir -p "$1.corpus"
began=$(date +%s)
"$1" -max_total_time="$3" -max_len=131072 -print_final_stats=1 -timeout=10 \
	-artifact_prefix="$1-" "$1.corpus" "$2" >"$1.log" 2>&1
status=$?
executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$1.log")
echo "$name: ${executions:-?} executions in $(($(date +%s) - began)) s, $(
	find "$1.corpus" -type f | wc -l) inputs learned"
if [ $status -ne 0 ]; then
	tail -n 40 "$1.log"
	echo "$name: a finding (see $1.log)"
	exit 1
fi
