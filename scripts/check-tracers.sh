#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-tracers.sh - Tern's tracepoints by perf, trace-cmd and bpftrace, in a VM with 6.1 as
# Documentation/lab.rst shows it (tests/vm/tracers.sh).

set -euo pipefail
cd "$(dirname "$0")/.."

kselftest=$(scripts/cache.sh kselftest)
make -s -C tests/selftests KSFT="$kselftest/tools/testing/selftests" \
	OUTPUT="$PWD/build/selftests" >build/selftests.log 2>&1 || {
	cat build/selftests.log
	exit 1
}
headers=$(compgen -G "$(scripts/cache.sh kernel 6.1)/headers/usr/src/linux-headers-*-common")
scripts/vm-tap.sh tracers --kernel 6.1 -- bash tests/vm/tracers.sh "$PWD" \
	"$(scripts/build-module.sh 6.1)" "$PWD/build/selftests" "$headers"
scripts/tap.sh build/vm/tracers/tap
