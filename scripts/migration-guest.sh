#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# migration-guest.sh - build the guest of the migration test and of the demo:
# tests/migration/stamp.c, in an initramfs. Prints the initramfs's path.

set -euo pipefail
scripts=$(dirname "$(readlink -f "$0")")
cd "$scripts/.."

dir=$PWD/build/migration
mkdir -p "$dir"
exec {lock}>"$dir/.lock"
flock "$lock"
gcc -std=gnu11 -O2 -Wall -Wextra -Werror -static -Iinclude/uapi \
	-o "$dir/stamp" tests/migration/stamp.c
"$scripts/guest.sh" "$dir/guest.cpio" "$dir/stamp"
echo "$dir/guest.cpio"
