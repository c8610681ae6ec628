#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# in-root.sh [--as-machine] ROOT SHARED COMMAND... - run COMMAND as root in the system ROOT
# (cache.sh deb, cache.sh host), without a network. SHARED is its /mnt. All else that it
# writes is lost: ROOT is the lower layer of an overlay. With --as-machine it has this
# machine's network, /dev and /sys.

set -euo pipefail

[ "$(id -u)" -eq 0 ] || {
	echo 'in-root: packages can only be installed by root' >&2
	exit 1
}
machine=''
[ "$1" != --as-machine ] || {
	machine=yes
	shift
}
layers=$(mktemp -d -p "$2")
trap 'rm -rf "$layers"' EXIT
mkdir "$layers"/{upper,work,merged}
network=(-n)
[ -z "$machine" ] || network=()
# shellcheck disable=SC2016 # for that shell
unshare -m "${network[@]}" -p -f --kill-child sh -euc '
	lower=$1 layers=$2 shared=$3 machine=$4
	shift 4
	mount -t overlay -o "lowerdir=$lower,upperdir=$layers/upper,workdir=$layers/work" \
		overlay "$layers/merged"
	mkdir -p "$layers/merged/mnt"
	mount --bind "$shared" "$layers/merged/mnt"
	mount -t proc proc "$layers/merged/proc"
	[ -z "$machine" ] || {
		mount --rbind /dev "$layers/merged/dev"
		mount --rbind /sys "$layers/merged/sys"
		cp --remove-destination /etc/resolv.conf /etc/hosts "$layers/merged/etc/"
	}
	exec chroot "$layers/merged" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"
' sh "$(readlink -e "$1")" "$layers" "$(readlink -e "$2")" "$machine" "${@:3}"
