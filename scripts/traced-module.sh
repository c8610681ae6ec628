#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# traced-module.sh DIR - build in DIR tern.ko for User Mode Linux with a call at the head of
# each block, and tests/coverage/tern_trace.ko, which keeps what ran.

set -euo pipefail
scripts=$(dirname "$(readlink -f "$0")")
cd "$scripts/.."
mkdir -p "$1"
dir=$(readlink -e "$1")
rsync -a --delete --exclude=/log Kbuild src include "$dir/"
rsync -a tests/coverage "$dir/tests/"
make -C "$(scripts/cache.sh uml "$(scripts/uml-kernel.sh)")/kdir" M="$dir" ARCH=um -j "$(nproc)" TEST_MODELS=1 \
	COVERAGE=1 modules >"$dir/log" 2>&1 || {
	tail -n 20 "$dir/log"
	exit 1
}
