#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# pinned.sh MODULE PROGRAM - run pinned_test in a VM that has QEMU's "edu" (vm.sh --physical).
# Only on 6.1: later kernels refuse to pin memory whose stores are tracked (-EFAULT).

module=$1 program=$2
# shellcheck disable=SC2046 # names
modprobe -a vfio_iommu_type1 $(modinfo -F depends "$module" | tr , ' ') &&
	insmod "$module" || exit 1
modprobe vfio-pci ids=1234:11e8 || exit 1
"$program"
status=$?
rmmod tern || status=1
exit $status
