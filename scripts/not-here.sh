#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# not-here.sh PROGRAM - the options that leave out what User Mode Linux cannot run
# of a program of selftests, as tests/uml/not-here has it.

set -euo pipefail
awk -v program="${1##*/}" '$1 == program && $2 != "*" { printf " -T %s", $2 }' \
	"$(dirname "$0")/../tests/uml/not-here"
