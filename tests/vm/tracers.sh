#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# tracers.sh TOP MODULE SELFTESTS HEADERS - what lab.rst shows of perf, trace-cmd and
# bpftrace, as it is printed there. In place of the user's test a selftest migrates.

top=$1 module=$2 selftests=$3 headers=$4
bad=0
say() { # STATUS NAME
	if [ "$1" -eq 0 ]; then
		echo "ok - $2"
	else
		sed 's/^/# /' /tmp/example.log | tail -n 40
		echo "not ok - $2"
		bad=1
	fi
}

cd /tmp || exit 1
cat >your-test <<-END
	#!/bin/sh
	exec $selftests/migration_test -V save_trapped -V load_trapped >/tmp/your-test.log
END
chmod +x your-test
# shellcheck disable=SC2046 # words
modprobe -a vfio_iommu_type1 $(modinfo -F depends "$module" | tr , ' ')
insmod "$module"
# As where linux-headers is installed, which bpftrace reads.
ln -sfn "$headers" "/lib/modules/$(uname -r)/source"
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null

example() { # TRACER LEAST WHAT: so many lines with that must come
	# From its mark to the next one, or to the next section.
	awk -v mark=".. $1" '$0 == mark { on = 1; next } /^(\.\. |=)/ { on = 0 }
		on && sub(/^    /, "")' "$top/Documentation/lab.rst" >"$1.sh"
	: >example.log
	[ -s "$1.sh" ] && timeout 500 bash -euo pipefail "$1.sh" >example.log 2>&1 &&
		[ "$(grep -cE "$3" example.log)" -ge "$2" ]
	say $? "LAB-14 $1 as in lab.rst: $2 lines with $3"
}

echo 1..4
example perf 4 'tern:tern_state: .* running-saving'
example trace-cmd 1 'tern_pass_end: .* pass'
example bpftrace 15 '^tracepoint:tern:tern_'
grep -q '^@pages: [1-9]' example.log
say $? "LAB-14 bpftrace has counted pages"
rmmod tern
exit $bad
