#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-by-hand.sh [--long] - the README's session by hand with QEMU 7.2, and that of
# ten-minutes.rst with 10.0, as they are printed there; with --long each with the other QEMU,
# too. And the two scripts of Documentation/ci.rst. In a VM with 6.1.

set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD

# The tree in which the README's session is done, built here: an emulated machine
# finds it made, and need not take minutes. One processor: with two, the guests
# of an emulated machine hang now and then.
kdir=$(readlink -e "$(scripts/cache.sh kernel 6.1)/kdir")
tree=$top/build/by-hand
rm -rf "$tree"
mkdir -p "$tree"
cp -r Kbuild Makefile src include scripts "$tree/"
make -s -C "$tree" modules KDIR="$kdir" >build/by-hand.log 2>&1
scripts/vm-tap.sh by-hand --kernel 6.1 --kvm --cpus 1 -- \
	bash tests/vm/by-hand.sh "$top" "$tree" "$kdir" \
	"$(scripts/cache.sh qemu 7.2)" "$(scripts/cache.sh qemu 10.0)" ${1:+1}
scripts/tap.sh build/vm/by-hand/tap
