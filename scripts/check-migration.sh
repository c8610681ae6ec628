#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-migration.sh [KERNEL/QEMU] [ONLY] [OPTION...] - live migration between two
# QEMUs, in a VM: every page is checked by the guest that wrote it
# (tests/migration/harness.py). Then a second VM loads what the first one saved to
# files.
#
#	KERNEL/QEMU	6.1/7.2, which speaks v1 (the default), 6.12/10.0 or 6.1/10.0,
#			which speak v2; uml/10.0, in User Mode Linux with iommufd and no KVM
#			(uml-kernel.sh; uml-debug/10.0 or uml-smp/10.0: this one of cache.sh's); or
#			trixie, trixie-backports or sid: that suite's kernel and its QEMU
#	ONLY		scenarios, with commas between. Three must be named to run: "hosts" has two
#			VMs with a network between them, "limits" is of check-limits.sh,
#			"situations" of check-lab.sh
#	OPTION		of harness.py: --way TITLE, --without W-N,..., --long, --seed N
#
# The output of the QEMUs and their guests is left in build/vm/migration-KERNEL-QEMU*/logs.

set -euo pipefail
cd "$(dirname "$0")/.."

host=6.1/7.2
case ${1:-} in
*/*)
	host=$1
	shift
	;;
trixie | trixie-backports | sid)
	host=$1/$1
	shift
	;;
esac
# A suite that cannot be fetched.
for part in kernel:${host%/*} qemu:${host#*/}; do
	case $part in
	*:trixie* | *:sid)
		scripts/cache.sh "${part%:*}" "${part#*:}" >/dev/null 2>build/fetch-migration.log && continue
		printf '1..1\nok - migration on %s # SKIP %s\n' "$host" "$(tail -n 1 build/fetch-migration.log)"
		echo '0 passed, 0 failed, 1 skipped'
		exit
		;;
	esac
done
name=migration-${host%/*}
[ "${host%/*}" = "${host#*/}" ] || name+=-${host#*/}
# Its folder: the ways may run beside the other scenarios.
[ "${1:-}" != ways ] || name+=-ways
uml=''
case $host in
uml/*) uml=$(scripts/uml-kernel.sh) ;;&
uml-*) uml=${host%/*} uml=${uml#uml-} ;;&
uml*) module=$(scripts/build-module.sh "uml-$uml") ;;
*) module=$(scripts/build-module.sh "${host%/*}") ;;
esac
initrd=$(scripts/migration-guest.sh)
guest=$(scripts/cache.sh kernel 6.1)
qemu=$(scripts/cache.sh qemu "${host#*/}")
harness=(python3 tests/migration/harness.py --module "$module"
	--kernel "$guest/boot/vmlinux" --initrd "$initrd" --logs /run/out/logs
	--qemu "$qemu/usr/bin/qemu-system-x86_64")
[ -z "$uml" ] || harness+=(--iommufd)
taps=()
timeout=2400
vm=()
[[ $* != *--long* ]] || timeout=10800

in_vm() { # NAME OPTION... -- COMMAND...; does not come back
	local out=build/vm/$1
	shift
	[ -z "$uml" ] ||
		exec scripts/uml.sh --kernel "$uml" --host --mem 3072 --timeout "$timeout" --out "$out" "$@"
	exec scripts/vm.sh --kernel "${host%/*}" --kvm --mem 3072 --timeout "$timeout" --out "$out" "$@"
}

run() { # NAME HARNESS-ARGUMENT...
	local out=build/vm/$1 status=0
	shift
	rm -rf "$out/logs"
	mkdir -p "$out"
	in_vm "${out##*/}" "${vm[@]}" -- "${harness[@]}" "$@" | tee "$out/tap" || status=$?
	# A failed test fails the VM's command, too.
	if ! scripts/tap.sh "$out/tap" >/dev/null; then
		echo "# logs of the QEMUs and guests: $out/logs"
	elif [ "$status" -ne 0 ]; then
		echo "not ok - the VM: status $status" | tee -a "$out/tap"
	fi
	taps+=("$out/tap")
}

hosts() {
	local link
	there=''
	link=$(mktemp -d)
	# shellcheck disable=SC2064 # this folder
	trap "kill \$there 2>/dev/null; rm -rf '$link'" EXIT
	rm -rf "build/vm/$name-there/logs"
	in_vm "$name-there" --link "$link/2" -- python3 tests/migration/there.py 10.0.0.2 4000 &
	there=$!
	vm=(--link "$link/1")
	run "$name" --there 10.0.0.2
	# It was asked to end, unless something went wrong.
	scripts/tap.sh "${taps[@]}" >/dev/null || kill "$there" 2>/dev/null || true
	wait "$there" || echo "not ok - the other host: status $? (see build/vm/$name-there)" |
		tee -a "build/vm/$name/tap"
}

save_and_load() {
	local streams=build/vm/$name/streams
	rm -rf "$streams"
	scripts/build-tool.sh >/dev/null # saved.py runs it
	case ${1:---} in
	--*) ;;
	*) set -- --only "$@" ;;
	esac
	run "$name" --save /run/out/streams "$@"
	# The machine that loads is another one, which has never seen the guest.
	if [ -d "$streams" ]; then
		rm -rf "build/vm/$name-load/streams"
		mkdir -p "build/vm/$name-load"
		mv "$streams" "build/vm/$name-load/"
		run "$name-load" --load /run/out/streams
		rm -rf "build/vm/$name-load/streams"
	fi
}

case ${1:-} in
hosts) hosts ;;
*) save_and_load "$@" ;;
esac
scripts/tap.sh "${taps[@]}"
