#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# mdevctl.sh MODULE - a device made by mdevctl, with attributes. What mdevctl
# keeps goes to /etc/mdevctl.d: for a VM whose files are lost at its end.

module=$1
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
	mdevctl_silent define --uuid $uuid --parent $parent --type $type && [ ! -e $device ]
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
echo 1..8
check "types: the type, with its name and how many can be made" \
	eval "mdevctl types --parent $parent | grep -A 3 $type | grep -q 'Available instances: 64'"
check "define: no device yet" define
check "modify: three attributes" add_attributes
check "start: a device with these attributes" start
check "list: the attributes are in its definition" listed
check "stop: the device was removed" stop
check "start: an attribute that is refused leaves no device" refused
check "undefine: nothing is left" undefine
rmmod tern
exit $bad
