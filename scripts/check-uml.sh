#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-uml.sh [plain|debug|faults|smp|jobs [all]] - the selftests on User Mode Linux with
# KASAN, lockdep and kmemleak: the inner loop. What it cannot run stands in tests/uml/not-here.
# "debug" runs them on Linux 6.12 (uml-kernel.sh); "smp" on the newer kernel with two
# processors, and attack_test besides.
# "faults" runs only what takes longest of fault injection, which is left out otherwise.
# "jobs" prints what would be run, one job per line; "jobs all" leaves out nothing.

set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
selftests=$top/build/selftests
began=$(date +%s%N)

# PROGRAM [OPTION...]: as one word, and without the tests that need more.
job() {
	printf '%s' "$*"
	scripts/not-here.sh "$1"
}

# Without what takes longest of fault injection.
faults=$(job fault_test -T V1_30_P18_all_chances_fail)
life=$(job fault_life_test -T load_that_fails_leaves_nothing)
case $* in 'jobs all' | faults) faults=$(job fault_test) life=$(job fault_life_test) ;; esac

# For each of the two kernels below half of the work.
first=("$(job device_test)" "$(job inject_test)" "$(job workload_test)" "$(job trace_test)"
	"$(job log_test)" "$(job irq_test)" "$(job region_test)"
	"$(job memory_test)" "$(job storm_test)" "$faults"
	"$(job migration_test -V save_trapped -V load_trapped)" module_test.sh)
second=("$(job late_test)" "$(job opener_test)" "$(job iommufd_test)" "$(job killed_test)" "$life"
	"$(job null_test)" "$(job nomem_test)" "$(job v2_test)" "$(job dma_test)" "$(job migfd_test)")
if [ "${1:-}" = jobs ]; then
	printf '%s\n' "${first[@]}" "${second[@]}"
	exit
fi
# Of the program, not of the module: no job for a changed module.
second+=(tool_test.sh)
# A sample of `make soak`.
second+=("soak -n 150")

case ${1:-} in
debug | smp) kernel=$1 ;;
*) kernel=$(scripts/uml-kernel.sh) ;;
esac
kselftest=$(scripts/cache.sh kselftest)
mkdir -p "$selftests" build/uml
make -s -C tests/selftests KSFT="$kselftest/tools/testing/selftests" \
	OUTPUT="$selftests" >build/selftests.log 2>&1 || {
	cat build/selftests.log
	exit 1
}
make -s -C tests/tools vmm KSFT="$kselftest/tools/testing/selftests" >build/tools.log 2>&1 || {
	cat build/tools.log
	exit 1
}
make -s -C tests/soak KSFT="$kselftest/tools/testing/selftests" >build/soak.log 2>&1 || {
	cat build/soak.log
	exit 1
}
tool=$(scripts/build-tool.sh)
module=$(scripts/build-module.sh "uml-$kernel")
built=$(date +%s%N)

run() { # NAME JOB...: in a kernel of its own
	local name=$1 program arguments=()
	shift
	for program in "$selftests"/*_test tests/selftests/*.sh tests/uml/selftests.sh \
		tests/tools/tool_test.sh Documentation/tern.rst build/tests-tools/vmm build/soak/soak "$tool" "$module"; do
		arguments+=(--add "$program")
	done
	scripts/uml.sh --kernel "$kernel" --timeout 600 --out "build/uml/$name" "${arguments[@]}" -- sh ./selftests.sh "$@" \
		>"build/uml/$name.tap" 2>&1
}

# A kernel that has iommufd and not what the log of DMA is read by: one test is of that.
if [ "${1:-}" = plain ]; then
	scripts/uml.sh --kernel plain --out build/uml/plain --add "$selftests/migfd_test" \
		--add "$(scripts/build-module.sh uml-plain)" --add tests/uml/selftests.sh -- \
		sh ./selftests.sh "migfd_test -t V2_14_save_needs_a_dma_log" | tee build/uml/plain.tap
	# On another kernel that test passes and does not say this.
	grep -q 'saving is refused' build/uml/plain.tap
	exec scripts/tap.sh build/uml/plain.tap
fi

if [ "${1:-}" = faults ]; then
	first=("$faults")
	second=("$life")
fi

if [ "$kernel" = smp ]; then
	status=0
	run smp "${first[@]}" "${second[@]}" attack_test || status=$?
	cat build/uml/smp.tap
	scripts/tap.sh build/uml/smp.tap
	exit $status
fi

# Two kernels at once: each has one processor, and half of the work.
status=0
run first "${first[@]}" &
pid=$!
run second "${second[@]}" || status=$?
wait $pid || status=$?
cat build/uml/{first,second}.tap
while IFS=$'\t' read -r program test needs; do
	case $program in '#'* | '') continue ;; esac
	echo "# not here: $program $test: needs $needs"
done <tests/uml/not-here

ended=$(date +%s%N)
printf '# built in %d.%d s, run in %d.%d s\n' \
	$(((built - began) / 1000000000)) $(((built - began) / 100000000 % 10)) \
	$(((ended - built) / 1000000000)) $(((ended - built) / 100000000 % 10))
scripts/tap.sh build/uml/{first,second}.tap
[ "$status" -eq 0 ]
