#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# selftests.sh JOB... - what check-uml runs in User Mode Linux. A job is a
# program with its options, as one word.

bad=0
hits=/sys/module/tern_trace/parameters/coverage

# What has run since the last call, under a name.
keep_hits() { # NAME
	[ -e $hits ] || return 0
	echo "# $1" >>/out/hits
	# One page of them at a time.
	while cat $hits >/tmp/hits && [ -s /tmp/hits ]; do
		cat /tmp/hits >>/out/hits
	done
	echo 0 >$hits
}

# A module built with COVERAGE=1 needs one that keeps the blocks that ran.
[ ! -e tern_trace.ko ] || insmod tern_trace.ko || exit 1
insmod tern.ko || exit 1
keep_hits load
for job; do
	echo "# job: $job"
	began=$(date +%s)
	# Its own lines count; a failure that it did not say counts too.
	eval "./$job" || {
		echo "not ok - $job"
		bad=1
	}
	echo "# took $(($(date +%s) - began)) s"
	keep_hits "$job"
done
[ "$(cat /sys/module/tern/refcnt)" = 0 ] || {
	echo "not ok - no reference to the module is left"
	bad=1
}
rmmod tern || bad=1
keep_hits load
exit $bad
