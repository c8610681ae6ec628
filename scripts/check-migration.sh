#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-migration.sh [ONLY [OPTION...]] - live migration between two QEMUs, in a VM:
# every page is checked by the guest that wrote it (tests/migration/harness.py).
# Then a second VM loads what the first one saved to files. ONLY names one scenario;
# options are those of harness.py: --way TITLE, --long, --seed N. The scenario "hosts",
# which has to be named, has two VMs with a network between them.
# What the QEMUs and their guests said is left in build/vm/migration*/logs.

set -euo pipefail
cd "$(dirname "$0")/.."

module=$(scripts/build-module.sh)
initrd=$(scripts/migration-guest.sh)
kernel=$(scripts/cache.sh kernel 6.1)
passed=0
failed=0
timeout=1800
vm=()
[[ $* != *--long* ]] || timeout=10800

in_vm() { # NAME OPTION... -- COMMAND...; does not come back
	local out=build/vm/$1
	shift
	exec scripts/vm.sh --kvm --mem 3072 --timeout "$timeout" --out "$out" "$@"
}

run() { # NAME HARNESS-ARGUMENT...
	local out=build/vm/$1 status=0 good bad planned missing
	shift
	rm -rf "$out/logs"
	mkdir -p "$out"
	in_vm "${out##*/}" "${vm[@]}" -- python3 tests/migration/harness.py --module "$module" \
		--kernel "$kernel/boot/vmlinux" --initrd "$initrd" --logs /run/out/logs "$@" |
		tee "$out/tap" || status=$?
	good=$(grep -c '^ok ' "$out/tap" || true)
	bad=$(grep -c '^not ok ' "$out/tap" || true)
	planned=$(sed -n 's/^1\.\.//p' "$out/tap")
	# A test that did not speak has failed, and so has a VM that went wrong.
	missing=$((${planned:-1} - good - bad))
	if [ "$missing" -ne 0 ]; then
		echo "not ok - $missing tests of ${planned:-?} said nothing"
		bad=$((bad + missing))
	elif [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
		echo "not ok - the VM: status $status"
		bad=1
	fi
	[ "$bad" -eq 0 ] || echo "# what the QEMUs and guests said: $out/logs"
	passed=$((passed + good)) failed=$((failed + bad))
}

hosts() {
	link=$(mktemp -d)
	trap 'rm -rf "$link"' EXIT
	in_vm host-2 --link "$link/2" -- python3 tests/migration/there.py 10.0.0.2 4000 &
	vm=(--link "$link/1")
	run host-1 --there 10.0.0.2
	# It was told to end, unless something went wrong.
	[ "$failed" -eq 0 ] || kill $! 2>/dev/null || true
	if wait $!; then
		passed=$((passed + 1))
	else
		echo "not ok - the other host (build/vm/host-2)"
		failed=$((failed + 1))
	fi
	sum
}

sum() {
	echo "$passed passed, $failed failed, 0 skipped"
	[ "$failed" -eq 0 ]
	exit
}

[ "${1:-}" != hosts ] || hosts

streams=build/vm/migration/streams
rm -rf "$streams"
run migration --save /run/out/streams ${1:+--only "$@"}
# The machine that loads is another one, which has never seen the guest.
if [ -d "$streams" ]; then
	rm -rf build/vm/migration-load/streams
	mkdir -p build/vm/migration-load
	mv "$streams" build/vm/migration-load/
	run migration-load --load /run/out/streams
	rm -rf build/vm/migration-load/streams
fi

sum
