#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# mdevctl.sh MODULE LOADS - a device made by mdevctl, with attributes: by hand, and by
# mdevctl's udev rule each time that the module is loaded. What mdevctl keeps goes to
# /etc/mdevctl.d: for a VM whose files are lost at its end.

module=$1 loads=$2
parent=tern type=tern-mem
uuid=7e100000-0000-4000-8000-0000000000a2
device=/sys/bus/mdev/devices/$uuid
log=/tmp/mdevctl.log
bad=0

check() { # NAME COMMAND...
	local name=$1
	shift
	if "$@" >$log 2>&1; then
		echo "ok - mdevctl $name"
	else
		sed 's/^/# /' $log
		echo "not ok - mdevctl $name"
		bad=1
	fi
}

# It succeeds, and has nothing to say.
mdevctl_silent() {
	[ -z "$(mdevctl "$@" 2>&1 | tee /dev/stderr)" ]
}

define() {
	mdevctl_silent define --auto --uuid $uuid --parent $parent --type $type && [ ! -e $device ]
}

# The attributes of one device; those that differ from what a new one has.
attributes='memory_mib 16
window_kib 512
precopy 0'

add_attributes() {
	local name value
	while read -r name value; do
		mdevctl_silent modify --uuid $uuid --addattr "tern/$name" --value "$value" || return
	done <<<"$attributes"
}

has_attributes() {
	local name value
	while read -r name value; do
		[ "$(cat "$device/tern/$name")" = "$value" ] || {
			echo "$name: expected $value, found $(cat "$device/tern/$name")"
			return 1
		}
	done <<<"$attributes"
}

start() {
	mdevctl_silent start --uuid $uuid && [ -e $device ] && has_attributes
}

# To read back is to get what was written: a started device can be defined by it.
listed() {
	mdevctl list --defined --dumpjson --uuid $uuid | tee /dev/stderr | tr -d ' \n' |
		grep -qF '"attrs":[{"tern/memory_mib":"16"},{"tern/window_kib":"512"},{"tern/precopy":"0"}]'
}

stop() {
	mdevctl_silent stop --uuid $uuid && [ ! -e $device ]
}

# In Debian 12 the rule names /usr/sbin/mdevctl (Documentation/limits.rst).
udevd() {
	[ -e /usr/sbin/mdevctl ] || ln -s ../bin/mdevctl /usr/sbin/mdevctl
	/lib/systemd/systemd-udevd --daemon && udevadm control --ping
}

only_device() {
	[ "$(echo /sys/bus/mdev/devices/*)" = $device ] && has_attributes
}

no_device() {
	[ -z "$(ls /sys/bus/mdev/devices)" ] && [ ! -e /sys/class/mdev_bus/tern ]
}

# After settle, udevd has handled the events and run the programs of its rules.
loaded() {
	local n
	for n in $(seq "$loads"); do
		insmod "$module" && udevadm settle && only_device &&
			rmmod tern && udevadm settle && no_device || {
			echo "load $n of $loads; devices:" /sys/bus/mdev/devices/*
			return 1
		}
	done
}

# All that the kernel may log of them is what mdev logs of a parent and of a device.
quiet() {
	dmesg | sed "1,/$marker/d" >$log.kernel
	[ "$(grep -c 'Adding to iommu group' $log.kernel)" -eq "$loads" ] &&
		! grep -vE "MDEV: (Registered|Unregistering)|$uuid: (Adding to|Removing from) iommu group" \
			$log.kernel
}

# A value that the device refuses: mdevctl says so and leaves no device behind.
refused() {
	mdevctl_silent modify --uuid $uuid --addattr tern/memory_mib --value 3 &&
		! mdevctl start --uuid $uuid && [ ! -e $device ]
}

undefine() {
	mdevctl_silent undefine --uuid $uuid && [ -z "$(mdevctl list --defined)" ]
}

# shellcheck disable=SC2046 # names
modprobe -a vfio_iommu_type1 $(modinfo -F depends "$module" | tr , ' ') &&
	insmod "$module" || exit 1
echo 1..11
check "types: the type, with its name and how many can be made" \
	eval "mdevctl types --parent $parent | grep -A 3 $type | grep -q 'Available instances: 64'"
check "define: no device yet" define
check "modify: three attributes" add_attributes
check "start: a device with these attributes" start
check "list: the attributes are in its definition" listed
check "stop: the device was removed" stop
rmmod tern
marker="mdevctl.sh: $loads loads"
echo "$marker" >/dev/kmsg
check "start-parent-mdevs: udevd runs" udevd
check "start-parent-mdevs: one device with its attributes in each of $loads loads" loaded
check "start-parent-mdevs: the kernel's log of these loads is quiet" quiet
udevadm control --exit
insmod "$module"
check "start: an attribute that is refused leaves no device" refused
check "undefine: nothing is left" undefine
rmmod tern
exit $bad
