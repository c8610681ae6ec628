#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# replay.sh TARGET CORPUS - each input of the corpus once, in TAP.

name=$(basename "$1")
echo 1..1
count=$(find "$2" -type f | wc -l)
if [ "$count" -gt 0 ] && find "$2" -type f -print0 | xargs -0 "$1" >"$1.log" 2>&1; then
	echo "ok - P-10 $name: $count inputs of the corpus"
else
	sed 's/^/# /' "$1.log" | tail -n 40
	echo "not ok - P-10 $name: $count inputs of the corpus"
	exit 1
fi
