#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The module by its sysfs: limits, reload, and who keeps it.

type=/sys/class/mdev_bus/tern/mdev_supported_types/tern-mem
if [ ! -w $type/create ]; then
	echo "1..0 # SKIP module tern is not loaded"
	exit 4
fi

n=0
bad=0
check() {	# NAME COMMAND...
	name=$1
	shift
	n=$((n + 1))
	if "$@"; then
		echo "ok $n $name"
	else
		echo "not ok $n $name"
		bad=1
	fi
}
fails() { ! "$@"; }
is() { [ "$1" = "$2" ]; }
create() { echo "$1" 2>/dev/null >$type/create; }
remove() { echo 1 >"/sys/bus/mdev/devices/$1/remove"; }
# Nobody uses the module? The last reference goes with the last close.
unused() { is "$(cat /sys/module/tern/refcnt)" 0; }

uuid=7e100000-0000-4000-8000-0000000000
echo "TAP version 13"
echo "1..10"
check "the parent offers vfio-pci" is "$(cat $type/device_api)" vfio-pci
check "the type says what it is" is "$(cat $type/name)" "Tern migratable memory"
check "parameters can be read" is "$(cat /sys/module/tern/parameters/max_memory_mib)" 65536
before=$(cat $type/available_instances)
check "nobody uses the module" unused
check "a device can be made" create ${uuid}01
check "it counts" is "$(cat $type/available_instances)" $((before - 1))
check "not twice" fails create ${uuid}01
check "not by a bad name" fails create tern
check "it can be removed" remove ${uuid}01
check "and nobody uses the module" unused
exit $bad
