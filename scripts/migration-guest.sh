#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# migration-guest.sh - build the guest of the migration test and of the demo:
# tests/migration/stamp.c in an initramfs, with the driver that signals it
# interrupts (tests/migration/guest). Prints the initramfs's path; pause.so, for a QEMU,
# is beside it.

set -euo pipefail
scripts=$(dirname "$(readlink -f "$0")")
cd "$scripts/.."

dir=$PWD/build/migration
mkdir -p "$dir"
exec {lock}>"$dir/.lock"
flock "$lock"
# A run that boots guests of it meanwhile must not find another one.
if [ -e "$dir/guest.cpio" ] && [ -z "$(find tests/migration/{stamp.c,pause.c,guest} include/uapi \
	scripts/{guest,migration-guest}.sh -newer "$dir/guest.cpio")" ]; then
	echo "$dir/guest.cpio"
	exit
fi
gcc -std=gnu11 -O2 -Wall -Wextra -Werror -static -Iinclude/uapi \
	-o "$dir/stamp" tests/migration/stamp.c
gcc -std=gnu11 -O2 -Wall -Wextra -Werror -shared -fPIC -o "$dir/pause.so" tests/migration/pause.c
rsync -rc tests/migration/guest/ "$dir/driver/"
make -s -C "$("$scripts/cache.sh" kernel 6.1)/kdir" M="$dir/driver" KCFLAGS="-I$PWD/include/uapi" \
	modules >"$dir/log" 2>&1 || {
	cat "$dir/log" >&2
	exit 1
}
"$scripts/guest.sh" "$dir/guest.cpio" "$dir/stamp" "$dir/driver/tern_irq.ko"
echo "$dir/guest.cpio"
