#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# selftests.sh TOP MODULE KSFT [PROGRAMS] - what check-vm runs in the VM. With PROGRAMS
# these once more, as a kernel developer runs them: all, if it is empty.

top=$1 module=$2 ksft=$3
bad=0
say() { # STATUS NAME
	if [ "$1" -eq 0 ]; then
		echo "ok - $2"
	else
		echo "not ok - $2"
		bad=1
	fi
}

echo 1..1
# The way the README names for insmod, word for word.
cd "$(dirname "$module")" || exit 1
eval "$(sed -n '/<!-- insmod -->/,/^```$/p' "$top/README.md" | sed '/^<!--/d;/^```/d')"
say $? "insmod, as the README has it"
[ -e /sys/module/tern ] || exit 1

# A kernel that has the bitmap a device reports its log of DMA by: then nothing is left out.
elsewhere=$top/tests/vm/not-here
! grep -q ' iova_bitmap_set\b' /proc/kallsyms || elsewhere=/dev/null
# Linux 6.1 has it: there nothing may be left out.
case $(uname -r) in 6.1.*) [ $elsewhere = /dev/null ] || exit 1 ;; esac

# The programs by themselves: each speaks TAP, and its exit status counts. Debian's kernels
# have no VFIO_DEVICE_CDEV, which iommufd_test needs.
cd "$top/build/selftests" || exit 1
modprobe -a zram fuse # a disk that attack_test swaps to and reads from; a file system of opener_test
export TERN_MODULE="$module" # what it loads again
for test in device_test inject_test workload_test trace_test log_test late_test opener_test irq_test region_test migration_test migfd_test v2_test memory_test dma_test storm_test killed_test attack_test; do
	# Its own lines count; a failure that it did not say counts too.
	# shellcheck disable=SC2046 # options
	"./$test" $("$top/scripts/not-here.sh" "$test" "$elsewhere") || say $? "$test"
done
grep -v '^#' "$elsewhere" | sed 's/^/# not here: /'
sh "$top/tests/selftests/module_test.sh" || say $? "module_test.sh"

plan=5
[ $# -lt 4 ] || plan=6
echo "1..$plan"
# By lib.mk's runner. It ends a test after 45 s by default. An emulated processor that
# other VMs share may need more: dma_test has timed out.
if [ $# -ge 4 ]; then
	some=()
	# shellcheck disable=SC2086 # a word each
	[ -z "$4" ] || some=(TEST_GEN_PROGS="$(printf "$top/build/selftests/%s " $4)")
	kselftest_override_timeout=600 make -s -C "$top/tests/selftests" KSFT="$ksft" \
		OUTPUT="$top/build/selftests" "${some[@]}" run_tests >/tmp/run_tests 2>&1
	# No program is skipped, either.
	"$top/scripts/tap.sh" /tmp/run_tests >/tmp/counted && grep -q ' 0 skipped$' /tmp/counted
	status=$?
	[ $status -eq 0 ] || sed 's/^/# /' /tmp/run_tests /tmp/counted
	say $status "make run_tests, with lib.mk: ${4:-each program} and the script"
fi

[ "$(cat /sys/module/tern/refcnt)" = 0 ]
say $? "no reference to the module is left"
rmmod tern
say $? "rmmod"

# Limits as parameters.
insmod "$module" max_devices=1 max_memory_mib=128
type=/sys/class/mdev_bus/tern/mdev_supported_types/tern-mem
uuid=7e100000-0000-4000-8000-0000000000
echo ${uuid}01 >$type/create && [ "$(cat $type/available_instances)" = 0 ] &&
	! echo ${uuid}02 2>/tmp/error >$type/create && grep -q 'Too many users' /tmp/error
say $? "max_devices"
attr=/sys/bus/mdev/devices/${uuid}01/tern/memory_mib
echo 128 >$attr && ! echo 256 2>/tmp/error >$attr && grep -q 'No space left' /tmp/error &&
	[ "$(cat $attr)" = 128 ]
say $? "max_memory_mib: a larger value is refused, the old one kept"
# rmmod takes the devices along.
rmmod tern && [ ! -e /sys/bus/mdev/devices/${uuid}01 ]
say $? "rmmod removes the devices that are left"

bash "$top/tests/vm/mdevctl.sh" "$module" 2 || bad=1

exit $bad
