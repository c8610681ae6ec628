#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Look at a kernel build directory.
#
#   kdir.sh check KDIR      can Tern be built there? If not, say why in one line.
#   kdir.sh release KDIR    print the kernel's release
set -eu

kdir=$2

case $1 in
check)
	if [ ! -e "$kdir/Makefile" ]; then
		echo "tern: no kernel headers at $kdir: apt install linux-headers-amd64, or say KDIR=" >&2
		exit 1
	fi
	if ! grep -qsE '^CONFIG_VFIO_MDEV=[ym]' "$kdir/include/config/auto.conf"; then
		case $("$0" release "$kdir") in
		*-cloud-*) why="Debian's cloud kernels lack it: install linux-image-amd64" ;;
		*-rt-*) why="Debian's real-time kernels lack it since 7.2: install linux-image-amd64" ;;
		*) why="build the kernel with a driver that selects it" ;;
		esac
		echo "tern: $kdir has no CONFIG_VFIO_MDEV: $why" >&2
		exit 1
	fi
	;;
release)
	# kernel.release is the upstream number in Debian's headers.
	sed -n 's/^#define UTS_RELEASE "\(.*\)"/\1/p' "$kdir/include/generated/utsrelease.h"
	;;
esac
