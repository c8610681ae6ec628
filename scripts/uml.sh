#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# uml.sh [OPTIONS] -- COMMAND... - run COMMAND as root in User Mode Linux:
# a kernel that is a process of this machine, up in half a second. Its output
# and exit status become ours.
#
#	--kernel debug|plain|newer|smp|fast	with KASAN, lockdep, kmemleak and fault
#				injection (debug); without a log of DMA (plain); as debug, of a
#				newer Linux (newer); that one with two processors, and without
#				lockdep and kmemleak (smp); as debug, without checks, for
#				figures (fast). Without it: what uml-kernel.sh prints
#	--mem MIB		memory (1024)
#	--timeout SEC		give up after this long (300)
#	--out DIR		shared read-write, /out inside (build/uml/NAME)
#	--add FILE		a file that COMMAND finds in its folder (repeatable)
#	--host			COMMAND sees the machine's files at their own paths, read-only,
#				and DIR at /run/out; /tmp and /run are its own
#
# Without --host it sees busybox and the files given, and nothing else of the
# machine. One processor, with smp two; no KVM, no PCI bus, no type1 container (IOMMUFD's
# stands in). Any kernel warning makes the run fail, and so does an end without a status. The
# kernel's log is left in OUT/dmesg, its console in OUT/console.

# shellcheck disable=SC2317 # functions that are called by name

set -euo pipefail

scripts=$(dirname "$(readlink -f "$0")")
# shellcheck source=scripts/complaints.sh
. "$scripts/complaints.sh"

kernel='' mem=1024 timeout=300 out='' host='' files=()

die() {
	printf 'uml: %s\n' "$*" >&2
	exit 1
}

init_script() {
	cat <<'INIT'
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
. /job/settings
mount -t hostfs -o "$out" none /out
[ -z "$host" ] || {
	mount -t hostfs -o ro,/ none /host
	for folder in proc sys dev; do mount --rbind /$folder /host/$folder; done
	ln -s /proc/self/fd /dev/fd
	for folder in tmp run dev/shm; do
		mkdir -p /host/$folder
		mount -t tmpfs tmpfs /host/$folder
	done
	# What lies in a folder that is empty now.
	for folder in $needed; do
		mkdir -p "/host$folder"
		mount -t hostfs -o "ro,$folder" none "/host$folder"
	done
	mkdir /host/run/out
	mount --bind /out /host/run/out
}
cd /files
stty -F /dev/tty1 raw
for module in /modules/*.ko; do
	insmod "$module"
done
case $host in
'') sh /job/command </dev/null >/dev/tty1 2>&1 ;;
*) chroot /host /bin/bash /run/out/.command </dev/null >/dev/tty1 2>&1 ;;
esac
status=$?
# What no pointer leads to any more is a leak. Young objects are passed over by the
# first scan, so look twice.
if [ -e /sys/kernel/debug/kmemleak ]; then
	echo scan >/sys/kernel/debug/kmemleak
	echo scan >/sys/kernel/debug/kmemleak
	cat /sys/kernel/debug/kmemleak >/out/leaks
fi
dmesg >/out/dmesg
echo $status >/out/status
poweroff -f
INIT
}

# The folders of the tree and of the cache that are below one which is empty there.
needed() {
	local folder
	for folder in "$PWD" "$scripts/.." "${TERN_CACHE:-$HOME/.cache/tern}"; do
		folder=$(readlink -e "$folder")
		case $folder/ in
		/tmp/* | /run/* | /dev/shm/*) echo "$folder" ;;
		esac
	done
}

make_root() {
	local applet
	rm -rf "$out/root" "$out"/{dmesg,status,leaks,console}
	mkdir -p "$out"/root/{bin,dev,proc,sys,tmp,out,host,files,modules,job}
	cp "$(command -v busybox)" "$out/root/bin/busybox"
	for applet in $(busybox --list); do
		[ "$applet" = busybox ] || ln -s busybox "$out/root/bin/$applet"
	done
	cp "$entry/modules/mdev.ko" "$out/root/modules/"
	[ ${#files[@]} -eq 0 ] || cp -- "${files[@]}" "$out/root/files/"
	printf '%s=%q\n' out "$out" host "$host" needed "$(needed)" >"$out/root/job/settings"
	printf '%q ' "$@" >"$out/root/job/command"
	[ -z "$host" ] || {
		printf 'export HOME=%q PATH=%q\ncd %q || exit 1\n' "$HOME" "$PATH" "$PWD"
		cat "$out/root/job/command"
	} >"$out/.command"
	init_script >"$out/root/init"
	chmod +x "$out/root/init"
}

# The kernel's console is file 3, COMMAND's file 1.
run_kernel() {
	# A shell of its own, which says nothing of a signal. What a kernel that panicked leaves
	# running must not keep the lock.
	(exec {lock}>&-; exec timeout -k 5 "$timeout" "$entry/linux" mem="${mem}M" root=/dev/root rootfstype=hostfs \
		rootflags="$out/root" ro init=/init quiet panic=-1 \
		con=null con0=null,fd:3 con1=null,fd:1 "${options[@]}" \
		3>"$out/console" 2>>"$out/console" </dev/null) 2>/dev/null &
	uml=$!
	wait "$uml" || uml_status=$?
	uml=''
}

judge() {
	local status=''
	[ ! -e "$out/status" ] || status=$(<"$out/status")
	if [ -z "$status" ]; then
		tail -n 20 "$out/console" >&2
		[ "$uml_status" -ne 124 ] ||
			die "stopped: no end after $timeout s (console: $out/console)"
		die "the kernel ended and did not say how COMMAND did (console: $out/console)"
	fi
	# Seen once in some dozens of runs: it crashes when it has powered off already.
	[ "$uml_status" -eq 0 ] ||
		printf 'uml: all was done, and the kernel ended with %d\n' "$uml_status" >&2
	if grep -nHE -m 3 "$complaints" "$out/dmesg" "$out/console" >&2; then
		die "the kernel complained (COMMAND's own status was $status)"
	fi
	if [ -s "$out/leaks" ]; then
		cat "$out/leaks" >&2
		die "memory was leaked (COMMAND's own status was $status)"
	fi
	exit "$status"
}

while [ $# -gt 0 ]; do
	case $1 in
	--kernel) kernel=$2 ;;
	--mem) mem=$2 ;;
	--timeout) timeout=$2 ;;
	--out) out=$2 ;;
	--add) files+=("$2") ;;
	--host)
		host=yes
		shift
		continue
		;;
	--) break ;;
	*) die "unknown option $1 (COMMAND goes after --)" ;;
	esac
	shift 2
done
[ $# -gt 1 ] || die 'usage: uml.sh [--kernel debug|plain|newer|smp|fast] [--mem MIB] [--timeout SEC] [--out DIR] [--add FILE]... [--host] -- COMMAND...'
shift

kernel=${kernel:-$("$scripts/uml-kernel.sh")}
out=${out:-$scripts/../build/uml/$kernel-$(basename "$1")}
mkdir -p "$out"
out=$(readlink -e "$out")
exec {lock}>"$out/.lock"
flock -n "$lock" || die "another kernel is using $out"

# A kernel that continues would write its results into the next run's folder.
stop() {
	[ -z "${uml:-}" ] || kill "$uml" 2>/dev/null || true
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

entry=$("$scripts/cache.sh" uml "$kernel")
options=()
case $kernel in
newer) options=(seccomp=on) ;;
smp) options=(seccomp=on ncpus=2) ;;
esac
uml_status=0
make_root "$@"
run_kernel
judge
