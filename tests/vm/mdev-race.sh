#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# mdev-race.sh MODULE - what Documentation/limits.rst states of the mdev core: a device that
# is removed while it is being created may be left without its `remove' file.

module=$1
uuid=7e100000-0000-4000-8000-0000000000ac
create=/sys/class/mdev_bus/tern/mdev_supported_types/tern-mem/create
device=/sys/bus/mdev/devices/$uuid
tries=20000

# shellcheck disable=SC2046 # names
modprobe -a vfio_iommu_type1 $(modinfo -F depends "$module" | tr , ' ') &&
	insmod "$module" || exit 1

# What does not succeed is tried again: most writes find no device.
exec 2>/dev/null
while :; do echo 1 >$device/remove; done &
remover=$!
# A device that is being removed is so for a moment, too.
left=0
for try in $(seq $tries); do
	echo $uuid >$create
	left=$((left + 1))
	[ -e $device ] && [ ! -e $device/remove ] || left=0
	[ $left -lt 100 ] || break
done
kill $remover
wait $remover

echo 1..2
# It stays so: no process creates or removes it now.
if [ -e $device ] && [ ! -e $device/remove ]; then
	echo "ok - mdev core: a device without its remove file after $try creations"
else
	echo "not ok - mdev core: no device without its remove file in $try creations"
fi
if rmmod tern && [ ! -e $device ]; then
	echo "ok - mdev core: rmmod removes it"
else
	echo "not ok - mdev core: rmmod removes it"
fi
