#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-libvirt.sh [SUITE...] - live migration by virsh between two libvirtd, in a VM
# (tests/migration/managed.py), with the libvirt and the QEMU of bookworm on Linux 6.1,
# and of bookworm-backports on 6.12.
#
# The logs of libvirt and of the QEMUs are left in build/vm/libvirt-SUITE/logs.

set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- bookworm bookworm-backports
mkdir -p build
initrd=$(scripts/migration-guest.sh)
guest=$(scripts/cache.sh kernel 6.1)
taps=()
for suite; do
	out=build/vm/libvirt-$suite kernel=6.1 status=0
	[ "$suite" = bookworm ] || kernel=6.12
	rm -rf "$out/logs"
	mkdir -p "$out"
	taps+=("$out/tap")
	echo "# libvirt of $suite, Linux $kernel"
	# A suite that cannot be fetched.
	if ! entry=$(scripts/cache.sh libvirt "$suite" 2>build/fetch-libvirt.log); then
		printf '1..1\nok - libvirt of %s # SKIP %s\n' "$suite" \
			"$(tail -n 1 build/fetch-libvirt.log)" | tee "$out/tap"
		continue
	fi
	module=$(scripts/build-module.sh "$kernel")
	scripts/vm.sh --kernel "$kernel" --kvm --mem 3072 --timeout 1800 --out "$out" -- \
		python3 tests/migration/managed.py --module "$module" \
		--kernel "$guest/boot/vmlinux" --initrd "$initrd" --root "$entry/root" \
		--logs /run/out/logs | tee "$out/tap" || status=$?
	# A failed test fails the VM's command, too.
	if ! scripts/tap.sh "$out/tap" >/dev/null; then
		echo "# logs of libvirt and of the QEMUs: $out/logs"
	elif [ "$status" -ne 0 ]; then
		echo "not ok - the VM: status $status (see $out)" | tee -a "$out/tap"
	fi
done
scripts/tap.sh "${taps[@]}"
