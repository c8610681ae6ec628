#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# not-here.sh PROGRAM [LIST] - the options that leave out what cannot be run of a
# program of selftests, as LIST has it (tests/uml/not-here).

set -euo pipefail
awk -v program="${1##*/}" '$1 == program && $2 != "*" { printf " -T %s", $2 }' \
	"${2:-$(dirname "$0")/../tests/uml/not-here}"
