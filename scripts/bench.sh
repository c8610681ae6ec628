#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# bench.sh [PART...] - what Tern costs, each figure as a ratio to a
# baseline of the same run on the same kernel; writes Documentation/performance.rst.
# Parts are engine, region, migfd, inject, vm, dma, session, guest, moves, rates and
# profile. With some named, the others' figures stay those of the last run. "large", which
# takes long, must be named.
#
# Throughput is taken on User Mode Linux, whose code runs at the machine's own
# speed; what a fault costs, in a VM. Run it on a machine that does nothing else.

set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
out=$top/build/bench
page=Documentation/performance.rst
picture=Documentation/performance.svg
moves_picture=Documentation/migrations.svg

mkdir -p "$out"
kselftest=$(scripts/cache.sh kselftest)
make -s -C tests/bench KSFT="$kselftest/tools/testing/selftests" OUT="$out" >"$out/log" 2>&1 || {
	cat "$out/log"
	exit 1
}

engine() {
	echo "== the engine, here" >&2
	"$out/engine_bench"
}

# The module of a copy of the tree with a patch of tests/bench.
patched() { # PATCH KERNEL
	rm -rf "$out/patched"
	mkdir -p "$out/patched/tests"
	cp -r Kbuild src include scripts "$out/patched/"
	# By its configuration cache.sh finds the kernel.
	cp -r tests/uml "$out/patched/tests/"
	patch -s -p1 -d "$out/patched" <"tests/bench/$1.patch"
	"$out/patched/scripts/build-module.sh" "$2"
}

on_uml() { # PROGRAM MODULE
	scripts/uml.sh --kernel plain --mem 3072 --timeout 1200 --out "$out/uml" --add "$out/$1" --add "$2" -- \
		sh -c "insmod tern.ko && ./$1"
}

region() {
	echo "== the region, on User Mode Linux" >&2
	on_uml region_bench "$(scripts/build-module.sh uml-plain)"
}

in_vm() { # "PROGRAM [OPTION...]" [VM-OPTION...]
	local program=$1 module
	shift
	module=$(scripts/build-module.sh 6.1)
	scripts/vm.sh --out "$out/vm-${program%% *}" "$@" -- sh -c "modprobe -a vfio_iommu_type1 mdev libcrc32c &&
		insmod $module && $out/$program"
}

vm() {
	echo "== stores and pending, in a VM" >&2
	in_vm fault_bench
}

dma() {
	echo "== DMA, on User Mode Linux" >&2
	on_uml dma_bench "$(patched time-dma uml-plain)"
	echo "== DMA, in a VM" >&2
	in_vm dma_bench
}

migfd() {
	echo "== the data file, on User Mode Linux" >&2
	on_uml migfd_bench "$(patched save-unlogged uml-plain)"
	echo "== sizes and states, in a VM" >&2
	in_vm "migfd_bench asks"
}

inject() {
	local ours bare
	echo "== the hooks of the injection, in a VM" >&2
	ours=$(scripts/build-module.sh 6.1)
	bare=$(patched no-injection 6.1)
	scripts/vm.sh --out "$out/vm-inject_bench" -- sh -c "modprobe -a vfio_iommu_type1 mdev libcrc32c &&
		$out/inject_bench $ours $bare"
}

session() {
	echo "== sessions of 64 MiB, 16 MiB and 4 GiB, in a VM" >&2
	[ "$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo)" -gt 6144 ] || {
		echo "bench: 6 GiB of memory are needed for a device of 4 GiB" >&2
		exit 1
	}
	in_vm session_bench --mem 5632 --timeout 3600
}

guest() {
	local module kernel qemu
	echo "== stores of a guest, in a VM" >&2
	module=$(scripts/build-module.sh 6.1)
	kernel=$(scripts/cache.sh kernel 6.1)
	qemu=$(scripts/cache.sh qemu 7.2)
	scripts/guest.sh "$out/guest.cpio" "$out/guest_stores"
	scripts/vm.sh --kvm --mem 1536 --out "$out/vm-guest" -- python3 tests/bench/guest_bench.py \
		--module "$module" --kernel "$kernel/boot/vmlinux" --initrd "$out/guest.cpio" \
		--qemu "$qemu/usr/bin/qemu-system-x86_64" --logs /run/out/logs
}

# Migrations under QEMU 10.0, on User Mode Linux.
migrate() { # NAME MIB [OPTION...]
	local name=$1 mib=$2 module kernel qemu uml
	shift 2
	module=$(scripts/build-module.sh uml-fast)
	kernel=$(scripts/cache.sh kernel 6.1)
	qemu=$(scripts/cache.sh qemu 10.0)
	uml=$(scripts/cache.sh uml fast)
	scripts/guest.sh "$out/moved.cpio" "$out/guest_writes"
	scripts/uml.sh --kernel fast --host --mem "$mib" --timeout 2400 --out "$out/uml-$name" -- \
		python3 tests/bench/moves_bench.py --iommufd --module "$module" --mtty "$uml/modules/mtty.ko" \
		--qemu "$qemu/usr/bin/qemu-system-x86_64" --kernel "$kernel/boot/vmlinux" \
		--initrd "$out/moved.cpio" --logs /run/out/logs "$@"
}

moves() {
	echo "== migrations of 1 GiB" >&2
	migrate moves 5120
}

rates() {
	echo "== migrations of 256 MiB and 1 GiB, at several rates" >&2
	migrate rates 5120 --rates
}

large() {
	echo "== migrations of 4 GiB" >&2
	[ "$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo)" -gt 13312 ] || {
		echo "bench: 13 GiB of memory are needed for two devices of 4 GiB" >&2
		exit 1
	}
	migrate large 12288 --large
}

# Where the processors' time goes in a migration: of what ran on this machine meanwhile.
profile() {
	local line percent command object symbol
	echo "== a migration of 1 GiB, profiled" >&2
	command -v perf >/dev/null || {
		echo "bench: perf is missing: apt-get install linux-perf" >&2
		exit 1
	}
	rm -f "$out/perf.pid"
	trap 'pkill -INT -P $$ perf' EXIT
	migrate profile 5120 --profile | while read -r line; do
		case $line in
		'# begins')
			perf record -q -a -e cpu-clock -F 499 -o "$out/perf.data" >/dev/null 2>&1 &
			echo $! >"$out/perf.pid"
			;;
		'# ends') kill -INT "$(<"$out/perf.pid")" ;;
		esac
	done
	while kill -0 "$(<"$out/perf.pid")" 2>/dev/null; do sleep 0.2; done
	trap - EXIT
	perf report -i "$out/perf.data" --comms linux,uml-userspace --percentage relative \
		--sort comm,dso,sym --stdio -F overhead,comm,dso,sym -t '|' 2>/dev/null |
		grep -v '^#' | while IFS='|' read -r percent command object symbol; do
		echo "$percent|$command|$object|$symbol" | tr -d ' '
	done | awk -F '|' '
		# What the host does for User Mode Linux, its modules, its processes, its kernel.
		function place() {
			if ($2 == "uml-userspace" && $3 !~ /kernel/) return "processes: QEMU, with the code of its guest"
			if ($3 ~ /kernel/) return "the host, for User Mode Linux"
			if ($3 ~ /deleted/) return "modules: tern, iommufd, vfio"
			sub(/^\[.\]/, "", $4)
			return "kernel: " $4 "()"
		}
		NF == 4 { sum[place()] += $1 }
		END { for (name in sum) printf "profile|%.1f|%s\n", sum[name], name }' |
		sort -t '|' -k 2 -rn | head -n 14
}

load=$(cut -d' ' -f1 /proc/loadavg)
all=(engine region migfd inject vm dma session guest moves rates profile)
[ $# -gt 0 ] || set -- "${all[@]}"
for part; do
	"$part" | tee "$out/figures.$part"
done
for part in "${all[@]}"; do
	[ -e "$out/figures.$part" ] || {
		echo "bench: $part was never measured here: bench.sh $part" >&2
		exit 1
	}
done
cat "${all[@]/#/$out/figures.}" >"$out/figures"

# name|goal: <= or >= of the ratio, or of the value, with its unit; or nothing|figure|baseline|limit
about() {
	cat <<'ABOUT'
engine|>= 0.9|the engine in user space: 64 MiB of pages to chunks in a buffer|memcpy() of the same bytes to the same buffer, plus the same CRC-32C|one more copy: records are sealed where user space cannot write
begin|<= 20 ms|a session of 64 GiB begins, all of it written before: the tracker's bitmap, in user space|the same page by page, as atomic operations|an atomic operation for each word of the bitmap
clear|<= 20 ms|all of it is cleared: both bitmaps, in user space|the pages of a session's begin, as above|the same
save-window|>= 0.7|save 128 MiB, the window mapped|read() of a tmpfs file in pieces of 4 MiB, plus CRC-32C|three copies (bounce buffer, window, VMM); read() has one
save-pread||the same by pread() of the window|the same|the same copies, and one more
load-window|>= 0.7|load 128 MiB, the window mapped|write() of a tmpfs file in pieces of 4 MiB, plus CRC-32C|three copies (window, record, page); write() has one. No byte is checked where user space can change it
load-pwrite||the same by pwrite()|the same|one more copy
v2-save-1m|>= 0.9|v2: save 128 MiB by read() of the data file to a tmpfs file, in pieces of 1 MiB|one tmpfs file to another in the same pieces, plus CRC-32C|one more copy: page, chunk, VMM; read() has page, VMM
v2-save-1m-copy||the same|the same without CRC-32C|the CRC-32C
v2-load-1m|>= 0.9|load 128 MiB by write() from a tmpfs file, in pieces of 1 MiB|one tmpfs file to another, plus CRC-32C|one more copy: VMM, piece, page. No byte is checked where user space can change it
v2-load-1m-copy||the same|the same without CRC-32C|the CRC-32C
v2-save-64k||save, in pieces of 64 KiB|the same pieces of tmpfs files, plus CRC-32C|the system calls, which are expensive on User Mode Linux for both
v2-save-64k-copy||the same|the same without CRC-32C|the CRC-32C
v2-load-64k||load, in pieces of 64 KiB|the same pieces of tmpfs files, plus CRC-32C|the system calls
v2-load-64k-copy||the same|the same without CRC-32C|the CRC-32C
v2-save-4k||save, in pieces of 4 KiB|the same pieces of tmpfs files, plus CRC-32C|the system calls
v2-save-4k-copy||the same|the same without CRC-32C|the system calls
v2-load-4k||load, in pieces of 4 KiB|the same pieces of tmpfs files, plus CRC-32C|the system calls
v2-load-4k-copy||the same|the same without CRC-32C|the system calls
zero-bytes|<= 0.02|bytes sent of 128 MiB that the guest has set to zero|the same with content|one record for each batch of pages, 127 at most
zero-time||the time of that|the same with content|the pages are read, to see that they are zero
crc||CRC-32C of 128 MiB by the device's engine, which uses the kernel's function|the CRC-32C of the baselines above, over a buffer|a copy to a bounce buffer; shows how close the two functions are
inject-read||a read() of 64 bytes of the data file, no rule of inject/ set|the same in a module without these hooks|a branch for each of five hooks
inject-state||a change of state, no rule set|the same in that module|a branch
harvest-all||harvest all pages of 1 GiB|pages|the copy
harvest-percent|<= 2|harvest 1 % of 1 GiB, every hundredth page; ratio: cost of such a page to the cost of a page among all|pages|each page is unmapped by its own call, which is a system call of the host here
harvest-permille|<= 2|harvest 0.1 % of 1 GiB, every thousandth page; ratio as above|pages|the same
store-first||first store to a page of the device|first store to a page of a tmpfs file|the fault and the page
store-again||a store to a page that was written, without a harvest|a store to a page of a tmpfs file that was written|nothing: it does not fault (S-10)
store-session||the same in a session, before the harvest|the same|nothing: it does not fault (S-10)
store-harvested||a store to a page that was harvested|a store to an existing page of a tmpfs file that was unmapped|the fault
pending|<= 1.2|read pending_bytes at 64 GiB, with 4096 dirty pages spread over it|the same at 16 MiB|the system call
pending-last|<= 1.5|the same, with only the last page dirty|the same at 16 MiB|the system call: the search reads 66 words
size|<= 1.2|MIG_DATA_SIZE in pre-copy at 1 GiB, with 4096 dirty pages spread over it|the same at 16 MiB|the system call
size-before|<= 1.2|the same on a running device without a session|the same at 16 MiB|the system call
p2p||to RUNNING_P2P and back|twice to RUNNING, which is the current state|two arcs more than two calls: the DMA engine is quiesced and woken
dma-to|>= 0.9|the DMA engine: guest memory to device memory|vfio_dma_rw() alone, in the same transfer|a second copy, from a bounce buffer to the device's pages, which are looked up one by one
dma-from|>= 0.9|the DMA engine: device memory to guest memory|as above|the same
dma-to-vm|>= 0.9|guest memory to device memory, in a VM|as above, by the tracer|the same; on an emulated processor the second copy costs less than the first
dma-to-vm-traced||the same transfer, traced|not traced|the tracer: its part of the row above
dma-from-vm|>= 0.9|device memory to guest memory, in a VM|as above, by the tracer|as above
dma-from-vm-traced||the same transfer, traced|not traced|the tracer
stop|<= 1.2|from the stop request to the last byte read: 4 GiB, all written before, 16 MiB/s written during the session, spread over it|the same at 16 MiB|the pages that are dirty at the stop
sent|<= 1.1|bytes sent by a session: 64 MiB, then the pages written at 16 MiB/s|the existing pages and the written pages|32 bytes of record header for each page
guest-harvested|<= 1.5|a guest's store to BAR2 after a harvest, QEMU in pre-copy; the median|the same to its RAM, under KVM's dirty logging|the page is unmapped: the kernel faults it in for KVM. For RAM logging, KVM makes its own entry writable again
guest-mean||all its stores to BAR2 in that time; the mean|the same to its RAM|the same, and waits: one processor runs both the guest and the harvester
move-downtime|<= 0.1|migrate a guest and 1 GiB of its device, 2 MiB/s of it written during the migration: the downtime|the same with precopy 0|QEMU's downtime-limit, 300 ms
move-time-whole||total time of that migration|the same with precopy 0|pages written during the migration are sent again; one processor runs source, destination and guest
move-bytes-whole||bytes sent by it|the same with precopy 0|pages written during the migration
move-time|<= 1.0|total time of that migration|1 GiB of ivshmem's, which QEMU sends as RAM|records: each page is copied four times more, and the kernel computes its CRC by tables at source and destination
move-downtime-ram||the downtime|1 GiB of ivshmem's|QEMU's downtime-limit, of both
move-bytes||bytes sent by it|1 GiB of ivshmem's|pages written in the longer time; 32 bytes of record header for each page
move-empty||total time for a guest with an unwritten device of 1 GiB|a guest with the kernel's mtty: the cost of having a device|the guest's own memory
move-empty-downtime||the downtime|the same with mtty|the states, one after the other
ABOUT
}

# A goal with a unit is one of the value; without one, of the ratio.
verdict() { # GOAL VALUE RATIO
	local relation limit unit of=$3
	[ -n "$1" ] || {
		echo "informational"
		return
	}
	read -r relation limit unit <<<"$1"
	[ -z "$unit" ] || of=$2
	if [ "$(bc -l <<<"$of $relation $limit")" = 1 ]; then echo "pass"; else echo "**fail**"; fi
}

# A bar for each figure that is a throughput, with a mark at its goal.
plot() {
	local name goal
	while IFS='|' read -r name goal _; do
		case $name in
		engine | save-* | load-* | v2-*-1m | dma-to | dma-from)
			printf '%s %s %s\n' "$name" \
				"$(sed -n "s/^$name|.*|//p" "$out/figures")" "${goal:+${goal#* }}"
			;;
		esac
	done < <(about) >"$out/bars"
	gnuplot <<PLOT
set terminal svg size 640,300 background "white"
set output "$picture"
set yrange [0:1.1]
set ylabel "share of the baseline"
set style fill solid 0.6
set boxwidth 0.6
set key outside below
plot "$out/bars" using 0:2:xtic(1) with boxes title "measured", \
	"" using 0:2:(sprintf("%.2f", column(2))) with labels offset 0,0.7 notitle, \
	"" using 0:3 with points pointtype 7 title "goal"
PLOT
}

# Lines of parts' figures, by the first field. A part may be missing.
lines() { # NAME PART...
	local name=$1 part
	shift
	for part; do
		[ ! -e "$out/figures.$part" ] || sed -n "s/^$name|//p" "$out/figures.$part"
	done
}

plot_moves() {
	local device
	for device in tern ivshmem; do
		lines case rates large | awk -F '|' -v d="$device" '$1 == d && $3 == 64 { print $2, $5 }' \
			>"$out/sizes.$device"
		lines case rates large | awk -F '|' -v d="$device" '$1 == d && $2 == 1024 { print $8, $5 }' \
			>"$out/rates.$device"
	done
	gnuplot <<PLOT
set terminal svg size 640,280 background "white"
set output "$moves_picture"
set multiplot layout 1,2
set style data linespoints
set key top left
set ylabel "downtime (ms)"
set yrange [0:*]
set logscale x 2
set xrange [200:5000]
set xlabel "MiB of memory, 64 MiB/s written"
set xtics (256, 1024, 4096)
plot for [d in "tern ivshmem"] "$out/sizes.".d using 1:2 title d
unset logscale x
set xrange [0:*]
set ylabel ""
set xlabel "MiB/s written, 1 GiB of memory"
set xtics auto
plot for [d in "tern ivshmem"] "$out/rates.".d using 1:2 title d
PLOT
}

tabulate_moves() {
	local device mib asked ms downtime kib seconds written
	printf '   * - %s\n' 'memory'
	printf '     - %s\n' 'device' 'to be written' 'written' 'total time' 'downtime' 'sent' 'processor time'
	lines case rates large | while IFS='|' read -r device mib asked ms downtime kib seconds written; do
		printf '   * - %s\n' "$mib MiB"
		printf '     - %s\n' "$device" "$asked MiB/s" "$written MiB/s" \
			"$(bc -l <<<"scale=1; $ms / 1000") s" "$downtime ms" "$((kib / 1024)) MiB" "$seconds s"
	done
}

tabulate_profile() {
	local percent place
	printf '   * - %s\n' 'share'
	printf '     - %s\n' 'where'
	lines profile profile | while IFS='|' read -r percent place; do
		printf '   * - %s\n' "$percent %"
		printf '     - %s\n' "$place"
	done
}

{
	cat <<'HEAD'
.. SPDX-License-Identifier: GPL-2.0-only
.. Written by `make bench`: do not edit.

===========
Performance
===========

How long does a migration take, and how long are the guest's vCPUs stopped? The device's
memory is compared with as much memory of ivshmem, which QEMU itself migrates as RAM.

.. image:: migrations.svg
   :alt: downtime over the size of memory, and over the rate at which it is written

.. list-table::
   :header-rows: 1

HEAD
	tabulate_moves
	cat <<'MOVES'

QEMU 10.0 has its own downtime-limit, 300 ms, and no limit of the bandwidth. The guest
writes a word to page after page. It may not reach the rate: each first store to a page after
a harvest faults, and an emulated processor runs it. A migration that does not converge in
120 seconds gets any downtime that it needs. "Processor time" is that of both QEMUs, in the
kernel and outside of it, without the guest's processor.

Where the time of a migration of 1 GiB goes, nothing written meanwhile:

.. list-table::
   :header-rows: 1

MOVES
	tabulate_profile
	cat <<'FIGURES'

User Mode Linux is a process, so page tables are changed by system calls of its host. It
computes CRC-32C by tables.

The figures
===========

Each figure has a baseline, measured in the same run on the same kernel. Compare only the
ratios: between machines, or before and after a change. Each figure is the best of several
runs. Two are not: the bytes that a session sends are counted, and the stores of a guest are
measured once. ``make bench`` measures all figures and writes this page.

The result of a figure with a goal is pass or fail. A figure without a goal is
informational.

FIGURES
	printf 'Taken on %s, Linux %s; load average before: %s.\n\n' \
		"$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
		"$(uname -r | cut -d- -f1)" "$load"
	echo '.. image:: performance.svg'
	echo '   :alt: throughput as a share of the baseline, with the goals'
	echo
	echo '.. list-table::'
	echo '   :header-rows: 1'
	echo
	printf '   * - %s\n' 'what'
	printf '     - %s\n' 'value' 'baseline' 'ratio' 'goal' 'result' 'limited by'
	while IFS='|' read -r name goal what against limit; do
		IFS='|' read -r _ value unit baseline ratio < <(grep "^$name|" "$out/figures")
		case $against in
		pages) against='pages' base_unit='' ;;
		*) base_unit=" $unit" ;;
		esac
		printf '   * - %s\n' "$what"
		printf '     - %s\n' "$value $unit" "$baseline$base_unit ($against)" "$ratio" \
			"${goal:-none}" "$(verdict "$goal" "$value" "$ratio")" "$limit"
	done < <(about)
	cat <<'TAIL'

Where the figures were measured:

===================================== ==================================================
rows                                  environment
===================================== ==================================================
the engine                            user space
from "save" to "harvest"; the first   User Mode Linux 6.12
two of the DMA engine
migrations                            QEMU 10.0 on that, with iommufd and a DMA log
all others                            a VM with Linux 6.1
===================================== ==================================================

Without KVM on the machine, an emulated processor runs the VM. A fault then costs
microseconds or more, so only the ratios of those rows are meaningful. Throughput on User
Mode Linux is that of this machine's processor. Both Tern and the baseline compute CRC-32C
by tables there, because User Mode Linux has no instruction for it.

The data file is saved to and loaded from a tmpfs file. That kernel has no support for a DMA
log, and without it the module does not save. So the module is built with
tests/bench/save-unlogged.patch.

The module without the hooks of ``inject/`` is built with tests/bench/no-injection.patch. It
and the usual one are loaded in turn, ten times each.

The DMA engine copies 8 MiB in pieces of 64 KiB, each by one call of vfio_dma_rw(). On User
Mode Linux a clock in the module measures the time of these calls
(tests/bench/time-dma.patch). In the VM the tracer function_graph measures it, with the
module unchanged.

A guest's stores go to 512 pages of BAR2 and 512 of RAM in turn, under KVM and QEMU 7.2 in
that VM. QEMU is kept in pre-copy, where it sends both kinds alternately. A store counts as
following a harvest if it takes 20 times the usual time. The median of these has the goal.
The mean of all stores is informational, because it consists mostly of waits for the one
processor.

The migrating guest writes a word to 512 pages per second, in a loop. ivshmem is
``ivshmem-plain,master=on``, and the same program dirties its memory. mtty is the kernel's
sample. Source, destination and guest share the one processor of User Mode Linux. Only the
guest's processor is emulated.
TAIL
} >"$page.new"
mv "$page.new" "$page"
plot
plot_moves
echo "== $page is written" >&2
