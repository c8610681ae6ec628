#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-mdevctl.sh [LOADS] - what check-vm runs of mdevctl and udev, but with 30 loads of
# the module instead of two: often enough to find a race between udevd and rmmod.

set -euo pipefail
cd "$(dirname "$0")/.."

scripts/vm-tap.sh mdevctl --kernel 6.1 -- bash tests/vm/mdevctl.sh \
	"$(scripts/build-module.sh 6.1)" "${1:-30}"
scripts/tap.sh build/vm/mdevctl/tap
