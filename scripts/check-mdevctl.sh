#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-mdevctl.sh [LOADS] - what check-vm runs of mdevctl and udev, but with 30 loads of
# the module instead of two: often enough to find a race between udevd and rmmod.

set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p build/vm/mdevctl
status=0
scripts/vm.sh --kernel 6.1 --out build/vm/mdevctl -- bash tests/vm/mdevctl.sh \
	"$(scripts/build-module.sh 6.1)" "${1:-30}" | tee build/vm/mdevctl/tap || status=$?
[ "$status" -eq 0 ] ||
	echo "not ok - the VM: status $status (see build/vm/mdevctl)" | tee -a build/vm/mdevctl/tap
scripts/tap.sh build/vm/mdevctl/tap
