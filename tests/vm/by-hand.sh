#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# by-hand.sh TOP TREE KDIR QEMU7 QEMU10 [1] - the README's session by hand, word for word, in
# a copy of the tree, with QEMU 7.2, and that of ten-minutes.rst, with 10.0. With 1 each once
# more with the other option, and the other QEMU.

top=$1 tree=$2 kdir=$3 more=${6:-}
v1=$4/usr/bin:$PATH v2=$5/usr/bin:$PATH
bad=0
say() { # STATUS NAME
	if [ "$1" -eq 0 ]; then
		echo "ok - $2"
	else
		echo "not ok - $2"
		bad=1
	fi
}

echo 1..$((more ? 10 : 6))
ln -sfn "$kdir" "/lib/modules/$(uname -r)/build"
cd "$tree" || exit 1
sed -n '/<!-- by hand -->/,/^```$/p' "$top/README.md" | sed '/^<!--/d;/^```/d' >/tmp/by-hand

session() { # FILE NAME
	local status
	[ -s "$1" ] && timeout 600 bash -euo pipefail "$1" >/tmp/by-hand.log 2>&1
	status=$?
	[ $status -eq 0 ] || sed 's/^/# /' /tmp/by-hand.log
	say $status "$2"
	[ ! -e /sys/module/tern ] && ! pgrep -f qemu-system- >/dev/null
	say $? "nothing of it is left"
}

sed -n 's/^    //p' "$top/Documentation/ten-minutes.rst" >/tmp/ten-minutes

title="LAB-16 the session of ten-minutes.rst"
PATH=$v1 session /tmp/by-hand "the README's session by hand"
PATH=$v2 session /tmp/ten-minutes "$title"
if [ "$more" ]; then
	# As the pages say: the option, and a QEMU.
	sed 's/x-enable-migration=on/enable-migration=on/' /tmp/by-hand >/tmp/by-hand-v2
	PATH=$v2 session /tmp/by-hand-v2 "the README's session by hand, by v2"
	sed 's/enable-migration=on/x-&/' /tmp/ten-minutes >/tmp/ten-minutes-v1
	PATH=$v1 session /tmp/ten-minutes-v1 "$title, by v1"
fi

# What Documentation/ci.rst shows below such a comment.
example() { # NAME END TITLE
	local status
	sed -n "/^\.\. $1/,/$2/p" "$top/Documentation/ci.rst" | sed -n 's/^    //p' >"/tmp/$1"
	[ -s "/tmp/$1" ] && PATH=$v1 timeout 600 bash "/tmp/$1" "$tree/tern.ko" >/tmp/example.log 2>&1
	status=$?
	[ $status -eq 0 ] || sed 's/^/# /' /tmp/example.log
	say $status "$3"
}

example your-test.sh '^Run it::' "the test of Documentation/ci.rst"
example container.sh '^The container' "a VMM in a container, as in Documentation/ci.rst"
exit $bad
