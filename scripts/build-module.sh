#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# build-module.sh [KERNEL [MAKE-ARGUMENT...]] - build tern.ko for a kernel of
# cache.sh (6.1, 6.12, trixie, trixie-backports, sid, uml-debug, uml-plain, uml-newer,
# uml-smp, uml-fast; 6.1 by default) and print its path.
#
# Builds from a copy in build/module-KERNEL/, and there what has changed; the
# tree itself stays as it is. With arguments for make (W=1) it always builds,
# in a folder of its own, and what the compiler has to say goes to stderr.
# For uml-debug, uml-newer and uml-smp the test models are in it.

set -euo pipefail

kernel=${1:-6.1}
shift || true
scripts=$(dirname "$(readlink -f "$0")")
cd "$scripts/.."

dir=$PWD/build/module-$kernel${*:+-checked}
case $kernel in
uml-*) entry=$("$scripts/cache.sh" uml "${kernel#uml-}") ;;
*) entry=$("$scripts/cache.sh" kernel "$kernel") ;;
esac
models=()
case $kernel in uml-debug | uml-newer | uml-smp) models=(TEST_MODELS=1) ;; esac
arch=
[ ! -e "$entry/arch" ] || arch=ARCH=$(<"$entry/arch")

make=(make -C "$entry/kdir" M="$dir")
# By the suite's own compiler; its root has no pahole.
if [ -e "$entry/root" ]; then
	user=()
	[ "$(id -u)" -eq 0 ] || user=(-r)
	# shellcheck disable=SC2016 # for that shell
	make=(env LANG=C LC_ALL=C unshare "${user[@]}" -m -p -f sh -euc '
		root=$1 dir=$2 kdir=$3
		shift 3
		mount --bind "$dir" "$root/module"
		mount -t proc proc "$root/proc"
		exec chroot "$root" make -C "$kdir" M=/module CONFIG_DEBUG_INFO_BTF_MODULES= "$@"
	' sh "$entry/root" "$dir" "/$(realpath --relative-to="$entry/root" "$entry/kdir")")
fi

mkdir -p "$dir"
exec {lock}>"$dir.lock"
flock "$lock"

# The sources, by content: a file that went back in time is a change, too.
sources=$(
	echo "$entry"
	find Kbuild src include -type f -print0 | sort -z | xargs -0 sha256sum
)
if [ $# -gt 0 ] || [ ! -e "$dir/tern.ko" ] ||
	[ "$sources" != "$(cat "$dir/sources" 2>/dev/null)" ]; then
	# With another kernel or other arguments nothing of the last build counts.
	if [ $# -gt 0 ] || [ "$entry" != "$(head -n 1 "$dir/sources" 2>/dev/null)" ]; then
		rm -rf "$dir"
		mkdir "$dir"
	fi
	rm -f "$dir/sources"
	# By content, and with the time of copying: make shall see what changed.
	rsync -rc --delete --exclude='*.o' --exclude='.*.cmd' Kbuild src include "$dir/"
	exec {messages}>>"$dir/log"
	[ $# -eq 0 ] || exec {messages}>&2
	"${make[@]}" ${arch:+"$arch"} -j "$(nproc)" "${models[@]}" "$@" modules >>"$dir/log" 2>&"$messages" || {
		[ $# -gt 0 ] || cat "$dir/log" >&2
		echo "build-module: tern.ko does not build for $kernel" >&2
		exit 1
	}
	printf '%s\n' "$sources" >"$dir/sources"
fi
echo "$dir/tern.ko"
