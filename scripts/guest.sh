#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# guest.sh OUT INIT [PROGRAM|MODULE.ko...] - make OUT, the initramfs of a guest
# inside the VM: busybox, and the static programs and the modules given. INIT, put
# there as /stamp, is run once /proc, /sys and /dev are there and the modules are
# loaded, in their order; options=TEXT on the kernel's command line is for them. Its
# standard output is ttyS0, and ttyS1 is free for its own use; when it ends, so does
# the guest.

set -euo pipefail

die() {
	printf 'guest: %s\n' "$*" >&2
	exit 1
}

[ $# -ge 2 ] || die 'usage: guest.sh OUT INIT [PROGRAM|MODULE.ko...]'
out=$(readlink -f "$1")
shift

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{bin,dev,modules,proc,sys,tmp}
cp "$(command -v busybox)" "$root/bin/busybox"
cp "$1" "$root/stamp"
for file in "${@:2}"; do
	case $file in
	*.ko) cp "$file" "$root/modules/" && basename "$file" >>"$root/modules/order" ;;
	*) cp "$file" "$root/bin/" ;;
	esac
done
for program in "$root"/stamp "$root"/bin/*; do
	! readelf -l "$program" 2>/dev/null | grep -q INTERP ||
		die "${program#"$root"/} is not static: the guest has no libraries"
done

cat >"$root/init" <<'INIT'
#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs dev /dev
# Bytes are to arrive as they were written.
$bb stty -F /dev/ttyS0 raw -echo
$bb stty -F /dev/ttyS1 raw -echo 2>/dev/null
for module in $($bb cat /modules/order 2>/dev/null); do
	$bb insmod "/modules/$module" ${options:-}
done
PATH=/bin /stamp </dev/ttyS0 >/dev/ttyS0 2>&1
$bb poweroff -f
INIT
chmod +x "$root/init"

# Not compressed: the guest's processor is slower than any memory.
(cd "$root" && find . | cpio --quiet -o -H newc) >"$out.new"
mv "$out.new" "$out"
