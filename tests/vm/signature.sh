#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# signature.sh MODULE REASON - a kernel that enforces signatures (module.sig_enforce=1, as
# with Secure Boot) refuses MODULE with one clear line, and logs the REASON.

module=$1 reason=$2

refused() {
	# shellcheck disable=SC2046 # names
	modprobe -a $(modinfo -F depends "$module" | tr , ' ') || return
	! insmod "$module" 2>/run/error || return
	cat /run/error
	[ "$(wc -l </run/error)" -eq 1 ] && grep -q 'Key was rejected by service' /run/error &&
		[ ! -e /sys/module/tern ] && [ "$(dmesg | grep -c "Loading of $reason is rejected")" -eq 1 ]
}

enforced() {
	[ "$(cat /sys/module/module/parameters/sig_enforce)" = Y ] || {
		echo "signatures are not enforced"
		return 1
	}
}

name="signatures enforced, $reason: insmod prints one line, and the log has the reason"
echo 1..1
if { enforced && refused; } >/run/log 2>&1; then
	echo "ok - $name"
	sed 's/^/# /' /run/error
else
	{ cat /run/log && dmesg | tail -n 5; } | sed 's/^/# /'
	echo "not ok - $name"
	exit 1
fi
