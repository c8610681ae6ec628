#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The module by its sysfs: limits, creation and removal, and references.

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
# No reference to the module? The last close drops the last one.
unused() { is "$(cat /sys/module/tern/refcnt)" 0; }

uuid=7e100000-0000-4000-8000-0000000000
echo "TAP version 13"
echo "1..10"
check "the device_api is vfio-pci" is "$(cat $type/device_api)" vfio-pci
check "the type has its name" is "$(cat $type/name)" "Tern migratable memory"
check "the parameters are readable" is "$(cat /sys/module/tern/parameters/max_memory_mib)" 65536
before=$(cat $type/available_instances)
check "no reference to the module" unused
check "a device is created" create ${uuid}01
check "a device takes one instance" is "$(cat $type/available_instances)" $((before - 1))
check "a UUID in use is refused" fails create ${uuid}01
check "a name that is no UUID is refused" fails create tern
check "the device is removed" remove ${uuid}01
check "no reference is left after the removal" unused
exit $bad
