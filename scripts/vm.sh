#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# vm.sh [OPTIONS] -- COMMAND... - run COMMAND as root in a VM with a stock
# Debian kernel. Its output and exit status become ours.
#
#	--kernel 6.1|6.12|DIR	the kernel, or a directory laid out as cache.sh's
#	--mem MIB		memory (2048)
#	--timeout SEC		give up after this long (600)
#	--out DIR		shared read-write, /run/out inside (build/vm/NAME)
#	--log FILE		the kernel's console (OUT/console)
#	--kvm			load KVM inside, for guests of the VM's own
#	--cpus N		processors (2; with --kvm and no /dev/kvm 1: with two,
#				QEMU 7.2's emulation of AMD's SVM spoils a guest in four)
#	--link DIR/N		one end, 1 or 2, of a network between two VMs: it has
#				a socket DIR/N, and in the VM eth0 is 10.0.0.N
#	--numa			half of the memory is another node's
#	--physical		a machine with an IOMMU, and QEMU's "edu" and "nvme" for physical
#				devices
#	--append ARGS		more for the kernel's command line
#
# The VM sees the machine's files at their own paths; what it writes there goes
# to memory and is lost. Any kernel warning makes the run fail, and so does a VM
# that ends before it has reported COMMAND's status. The complete kernel log is
# left in OUT/dmesg.

# shellcheck disable=SC2317 # functions that are called by name

set -euo pipefail

scripts=$(dirname "$(readlink -f "$0")")
# shellcheck source=scripts/cache.sh
. "$scripts/cache.sh"
# shellcheck source=scripts/complaints.sh
. "$scripts/complaints.sh"

kernel=6.1 mem=2048 cpus='' timeout=600 out='' log='' kvm='' numa='' physical='' link='' append=''

die() {
	printf 'vm: %s\n' "$*" >&2
	exit 1
}

# The VM's first process. Stage one, in the initramfs, finds the root; stage
# two runs there.
init_script() {
	cat <<'INIT'
#!/bin/busybox sh
# Whatever fails here ends the VM (panic=-1), with a line in the console's log.
set -e
/bin/busybox --install -s /bin
PATH=/bin
mount -t proc proc /proc
for module in $(cat /modules/order); do
	insmod "/modules/$module"
done
options=trans=virtio,version=9p2000.L,msize=512000
mount -t 9p -o "ro,cache=loose,$options" root /lower
mount -t tmpfs tmpfs /upper
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /root
cd /root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t devtmpfs devtmpfs dev
mount -t tmpfs -o mode=755 tmpfs run
mkdir run/out run/lock run/init
mount -t 9p -o "cache=none,$options" out run/out
cp /bin/busybox run/init/
cp /stage2 run/init/
umount /proc
exec switch_root /root /run/init/busybox sh /run/init/stage2
INIT
}

stage2_script() {
	cat <<'STAGE2'
set -e
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
bb=/run/init/busybox
. /run/out/.vm/settings
$bb mkdir -p /dev/pts /dev/shm "/lib/modules/$release"
$bb mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
$bb mount -t tmpfs tmpfs /dev/shm
$bb mount -t debugfs debugfs /sys/kernel/debug
$bb mount -t tracefs tracefs /sys/kernel/tracing
$bb mount --bind "$modules" "/lib/modules/$release"
[ -e /dev/fd ] || $bb ln -s /proc/self/fd /dev/fd
[ -e /dev/stdin ] || {
	$bb ln -s /proc/self/fd/0 /dev/stdin
	$bb ln -s /proc/self/fd/1 /dev/stdout
	$bb ln -s /proc/self/fd/2 /dev/stderr
}
$bb ip link set lo up
$bb stty -F /dev/ttyS1 raw
[ -z "$kvm" ] || modprobe "$kvm"
[ -z "$end" ] || {
	modprobe virtio_net
	$bb ip addr add "10.0.0.$end/24" dev eth0
	$bb ip link set eth0 up
}
# Now that booting is over, the console need not be spared any more.
$bb dmesg -n 8

# A pipe between: COMMAND shall not believe that it talks to a terminal.
$bb mkfifo /run/init/output
$bb cat /run/init/output >/dev/ttyS1 &
pump=$!
set +e
/bin/bash /run/out/.vm/command </dev/null >/run/init/output 2>&1
status=$?
# What COMMAND left running may hold the pipe open indefinitely.
for i in 1 2 3 4 5 6 7 8 9 10; do
	kill -0 $pump 2>/dev/null || break
	$bb sleep 0.1
done
$bb dmesg >/run/out/dmesg
echo $status >/run/out/.vm/status
$bb poweroff -f
STAGE2
}

build_initramfs() {
	local entry=$1 release file
	release=$(<"$entry/release")
	mkdir -p root/{bin,dev,proc,lower,upper,root,modules}
	cp "$(command -v busybox)" root/bin/busybox
	init_script >root/init
	stage2_script >root/stage2
	chmod +x root/init
	modprobe -d "$entry/modules" -S "$release" --show-depends --all \
		virtio_pci 9pnet_virtio 9p overlay | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
		while read -r file; do
			case $file in
			*.xz) xz -dc "$file" >"root/modules/$(basename "$file" .xz)" ;;
			*) cp "$file" root/modules/ ;;
			esac
			basename "$file" .xz >>root/modules/order
		done
	# Not compressed: unpacking costs an emulated machine more than reading.
	(cd root && find . | cpio --quiet -o -H newc) >initramfs
	rm -r root
}

kernel_directory() {
	case $kernel in
	*/*) readlink -e "$kernel" || die "no kernel in $kernel" ;;
	*) "$scripts/cache.sh" kernel "$kernel" ;;
	esac
}

kvm_module() {
	if [ -z "$kvm" ]; then
		return
	elif [ "$accel" = kvm ] && grep -qw vmx /proc/cpuinfo; then
		echo kvm-intel
	else
		echo kvm-amd # which is also what QEMU's emulation has
	fi
}

accel=tcg,thread=single # multi-threaded, QEMU 7.2 crashes a guest now and then
# A /dev/kvm on a processor that reports neither vmx nor svm is a hypervisor's
# makeshift: QEMU 7.2 with -cpu max aborts on it, and no guest has KVM in turn.
[ ! -w /dev/kvm ] || ! grep -qwE 'vmx|svm' /proc/cpuinfo || accel=kvm

write_job() {
	local name
	rm -rf "$out/.vm" "$out/dmesg"
	mkdir -p "$out/.vm"
	printf '%s=%q\n' release "$release" kvm "$(kvm_module)" end "${link##*/}" \
		modules "$entry/modules/lib/modules/$release" >"$out/.vm/settings"
	{
		printf 'cd %q\n' "$PWD"
		printf 'export HOME=%q\n' "$HOME"
		for name in "${!TERN_@}"; do
			printf 'export %s=%q\n' "$name" "${!name}"
		done
		printf '%q ' "$@"
	} >"$out/.vm/command"
}

run_qemu() {
	local shared=security_model=none,multidevs=remap
	local arguments=(
		-accel "$accel" -cpu max -smp "$cpus" -m "$mem"
		-nodefaults -display none -no-reboot
		-kernel "$entry/boot/vmlinux" -initrd "$initramfs/initramfs"
		-append "console=ttyS0 loglevel=5 log_buf_len=4M panic=-1 $slow $append"
		-chardev "file,id=console,path=$log" -serial chardev:console
		-chardev "stdio,id=output,signal=off" -serial chardev:output
		-fsdev "local,id=root,path=/,readonly=on,$shared"
		-device "virtio-9p-pci,fsdev=root,mount_tag=root"
		-fsdev "local,id=out,path=$out,$shared"
		-device "virtio-9p-pci,fsdev=out,mount_tag=out"
	)
	[ -z "$numa" ] || arguments+=(
		-object "memory-backend-ram,id=near,size=$((mem / 2))M" -numa "node,memdev=near,cpus=0-$((cpus - 1))"
		-object "memory-backend-ram,id=far,size=$((mem / 2))M" -numa "node,memdev=far"
	)
	[ -z "$physical" ] || arguments+=(
		-machine "q35,kernel-irqchip=split" -device intel-iommu -device edu
		-device "nvme,serial=physical"
	)
	[ -z "$link" ] || arguments+=(
		-netdev "dgram,id=link,local.type=unix,local.path=$link,remote.type=unix,remote.path=${link%/*}/$((3 - ${link##*/}))"
		-device "virtio-net-pci,netdev=link,mac=52:54:00:00:00:0${link##*/},romfile="
	)
	# QEMU makes its stdout non-blocking; a pipe of its own keeps ours as it is.
	mkfifo "$out/.vm/output"
	cat "$out/.vm/output" &
	cat=$!
	timeout -k 5 "$timeout" qemu-system-x86_64 "${arguments[@]}" \
		</dev/null >"$out/.vm/output" 2>"$out/.vm/qemu" &
	qemu=$!
	qemu_status=0
	wait "$qemu" || qemu_status=$?
	qemu=''
	wait "$cat"
}

stop() {
	[ -z "${qemu:-}" ] || kill "$qemu" 2>/dev/null || true
	rm -rf "$out/.vm"
}

judge() {
	local status=''
	[ ! -e "$out/.vm/status" ] || status=$(<"$out/.vm/status")
	if [ -z "$status" ]; then
		tail -n 20 "$log" >&2
		cat "$out/.vm/qemu" >&2
		[ "$qemu_status" -ne 124 ] ||
			die "the VM was stopped: no end after $timeout s (console: $log)"
		die "the VM ended and did not say how COMMAND did (console: $log)"
	fi
	# The console has what a cleared log lacks, the log what the console was spared.
	if grep -nHE -m 3 "$complaints" "$out/dmesg" "$log" >&2; then
		die "the kernel complained (COMMAND's own status was $status)"
	fi
	exit "$status"
}

while [ $# -gt 0 ]; do
	case $1 in
	--kernel) kernel=$2 ;;
	--mem) mem=$2 ;;
	--cpus) cpus=$2 ;;
	--timeout) timeout=$2 ;;
	--out) out=$2 ;;
	--log) log=$2 ;;
	--append) append=$2 ;;
	--link) link=$2 ;;
	--kvm)
		kvm=yes
		shift
		continue
		;;
	--numa)
		numa=yes
		shift
		continue
		;;
	--physical)
		physical=yes append+=' intel_iommu=on no_timer_check'
		shift
		continue
		;;
	--) break ;;
	*) die "unknown option $1 (COMMAND goes after --)" ;;
	esac
	shift 2
done
[ $# -gt 1 ] || die 'usage: vm.sh [--kernel 6.1|6.12] [--mem MIB] [--cpus N] [--timeout SEC] [--out DIR] [--log FILE] [--kvm] [--link DIR/N] [--numa] [--physical] -- COMMAND...'
shift

out=${out:-$scripts/../build/vm/${kernel##*/}-$(basename "$1")}
mkdir -p "$out"
out=$(readlink -e "$out")
log=${log:-$out/console}
exec {lock}>"$out/.lock"
flock -n "$lock" || die "another VM is using $out"

entry=$(kernel_directory)
release=$(<"$entry/release")
initramfs=$(cache_entry "initramfs-$release-$(sha256sum "$0" | cut -c -16)" build_initramfs "$entry")
# An emulated CPU is slow, not stuck; and two of its long searches find nothing.
slow=''
[ "$accel" = kvm ] || slow='rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60 pci=noearly cryptomgr.notests'

# QEMU 7.2's emulation of AMD's SVM loses a timer's interrupt now and then. A kernel
# that sets its timer again for each event then sleeps indefinitely, with no timer set;
# one that ticks misses a tick.
[ -z "$kvm" ] || [ "$accel" = kvm ] || slow+=' nohz=off highres=off'

if [ -z "$cpus" ]; then
	cpus=2
	[ -z "$kvm" ] || [ "$accel" = kvm ] || cpus=1
fi

trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
write_job "$@"
run_qemu
judge
