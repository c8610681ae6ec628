#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# build-module.sh [KERNEL] - build tern.ko for a kernel of cache.sh (6.1).
#
# Builds from a copy in build/module-KERNEL/, if the sources have changed, and
# prints the path of tern.ko. The tree itself stays as it is.

set -euo pipefail

kernel=${1:-6.1}
scripts=$(dirname "$(readlink -f "$0")")
cd "$scripts/.."

dir=$PWD/build/module-$kernel
entry=$("$scripts/cache.sh" kernel "$kernel")

mkdir -p "$dir"
exec {lock}>"$dir.lock"
flock "$lock"

# The sources, by content: a file that went back in time is a change, too.
sources=$(
	echo "$entry"
	find Kbuild src include -type f -print0 | sort -z | xargs -0 sha256sum
)
if [ ! -e "$dir/tern.ko" ] || [ "$sources" != "$(cat "$dir/sources" 2>/dev/null)" ]; then
	rm -rf "$dir"
	mkdir "$dir"
	cp -r Kbuild src include "$dir/"
	if ! make -C "$entry/kdir" M="$dir" -j "$(nproc)" modules >"$dir/log" 2>&1; then
		cat "$dir/log" >&2
		echo "build-module: tern.ko does not build for $kernel" >&2
		exit 1
	fi
	printf '%s\n' "$sources" >"$dir/sources"
fi
echo "$dir/tern.ko"
