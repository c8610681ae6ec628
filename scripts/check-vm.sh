#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-vm.sh [KERNEL...] - the module and its selftests in a VM with stock Debian
# kernels, by /dev/vfio and with no VMM. Without KERNEL it is 6.1, 6.12 and the newest
# of backports; and an unsigned module is loaded where the kernel enforces signatures.
#
# What the kernel complains of fails the run (vm.sh), and so does a test without a
# result (tap.sh).

set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD

all=''
[ $# -gt 0 ] || {
	all=yes
	set -- 6.1 6.12 trixie-backports
}
kselftest=$(scripts/cache.sh kselftest)
make -s -C tests/selftests KSFT="$kselftest/tools/testing/selftests" \
	OUTPUT="$(mkdir -p build/selftests && readlink -e build/selftests)" >build/selftests.log 2>&1 || {
	cat build/selftests.log
	exit 1
}

taps=()
run() { # NAME VM-OPTION... -- COMMAND...
	scripts/vm-tap.sh "$@"
	taps+=("build/vm/$1/tap")
}

ran=''
for kernel; do
	# A suite that cannot be fetched.
	if [[ $kernel != 6.* ]] && ! scripts/cache.sh kernel "$kernel" >/dev/null 2>build/fetch-vm.log; then
		mkdir -p "build/vm/selftests-$kernel"
		taps+=("build/vm/selftests-$kernel/tap")
		printf '1..1\nok - the selftests on %s # SKIP %s\n' "$kernel" \
			"$(tail -n 1 build/fetch-vm.log)" | tee "${taps[-1]}"
		continue
	fi
	module=$(scripts/build-module.sh "$kernel")
	echo "# kernel $kernel"
	# One kernel is enough to show that lib.mk runs them. It runs them all where the
	# kernels are named.
	runner=()
	[ "$ran" ] || runner=("${all:+device_test irq_test}")
	ran=yes
	run "selftests-$kernel" --kernel "$kernel" --numa -- bash tests/vm/selftests.sh \
		"$top" "$module" "$kselftest/tools/testing/selftests" "${runner[@]}"
done

[ "$all" ] || {
	scripts/tap.sh "${taps[@]}"
	exit
}

# A physical device that has BAR2 pinned: on 6.1, later kernels do not allow it.
run pinned --kernel 6.1 --physical -- bash tests/vm/pinned.sh \
	"$(scripts/build-module.sh 6.1)" "$top/build/selftests/pinned_test"

# Signatures enforced, as with Secure Boot.
run signature --kernel 6.12 --append module.sig_enforce=1 -- bash tests/vm/signature.sh \
	"$(scripts/build-module.sh 6.12)" "unsigned module"

scripts/tap.sh "${taps[@]}"
