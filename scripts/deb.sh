#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# deb.sh OUT [ROOT] - build the packages tern-dkms and tern-tools in OUT/, for this machine's
# suite, or in ROOT for that suite (scripts/in-root.sh). Print their paths.
#
# dh_dkms makes the package depend on a dkms of the suite in which it runs. So each suite
# builds its own package.

set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -ge 1 ] || {
	echo 'usage: deb.sh OUT [ROOT]' >&2
	exit 1
}
rm -rf "$1"
mkdir -p "$1/tern"
out=$(readlink -e "$1")

# The source package: without what a build of the module has left in the tree.
find debian Kbuild Makefile scripts/kdir.sh src include tools \
	\( -path debian/\* -o -name '*.[ch]' -o -name 'Kbuild*' -o -name Makefile -o -name '*.sh' \
	-o -name 'tern.*' \) \
	-type f -exec cp --parents -t "$out/tern" {} +

# shellcheck disable=SC2016 # for that shell
build='cd "$1/tern" && LC_ALL=C dpkg-buildpackage --build=binary --no-sign'
if [ $# -gt 1 ]; then
	scripts/in-root.sh "$2" "$out" sh -c "$build" sh /mnt
else
	sh -c "$build" sh "$out"
fi >"$out/log" 2>&1 || {
	cat "$out/log" >&2
	echo "deb: the package does not build (see $out/log)" >&2
	exit 1
}
rm -r "$out/tern"
echo "$out"/tern-{dkms,tools}_*.deb
