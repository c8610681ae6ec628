#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# by-hand.sh TOP TREE KDIR - the README's session by hand, word for word, in a
# copy of the tree.

top=$1 tree=$2 kdir=$3
bad=0
say() { # STATUS NAME
	if [ "$1" -eq 0 ]; then
		echo "ok - $2"
	else
		echo "not ok - $2"
		bad=1
	fi
}

ln -sfn "$kdir" "/lib/modules/$(uname -r)/build"
cd "$tree" || exit 1
sed -n '/<!-- by hand -->/,/^```$/p' "$top/README.md" | sed '/^<!--/d;/^```/d' >/tmp/by-hand
[ -s /tmp/by-hand ] && timeout 300 bash -euo pipefail /tmp/by-hand >/tmp/by-hand.log 2>&1
status=$?
[ $status -eq 0 ] || sed 's/^/# /' /tmp/by-hand.log
say $status "A1-6 the README's session by hand"
[ ! -e /sys/module/tern ] && ! pgrep qemu-system >/dev/null
say $? "A1-6 nothing of it is left"
exit $bad
