#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# uml-kernel.sh - print which kernel of User Mode Linux the tests take (cache.sh uml). It
# is "newer", whose processes run under seccomp and not under ptrace: twice as fast. It is
# "debug" where the other cannot be fetched, with a note on stderr.

set -euo pipefail
cd "$(dirname "$0")/.."

if why=$(scripts/cache.sh uml newer 2>&1 >/dev/null); then
	echo newer
else
	echo "uml-kernel: Linux 6.12 in place of a newer one: ${why##*$'\n'}" >&2
	echo debug
fi
