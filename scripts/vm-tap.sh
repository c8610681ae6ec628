#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# vm-tap.sh NAME VM-OPTION... -- COMMAND... - run in a VM what prints TAP. It is kept in
# build/vm/NAME/tap, for tap.sh; a VM that does not end well is a failed test there.

set -euo pipefail
scripts=$(dirname "$(readlink -f "$0")")
out=$scripts/../build/vm/$1
shift
mkdir -p "$out"
status=0
"$scripts/vm.sh" --out "$out" "$@" | tee "$out/tap" || status=$?
[ "$status" -eq 0 ] ||
	echo "not ok - the VM: status $status (see build/vm/${out##*/})" | tee -a "$out/tap"
