#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-deb.sh [SUITE...] - the packages tern-dkms and tern-tools in bookworm and trixie: built
# by each suite, installed in a fresh system of it, with the headers of three kernels, and
# removed. And the module that DKMS signed, in a VM that enforces signatures.

set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- bookworm trixie
version=$(sed -n 's/^MODULE_VERSION("\(.*\)");$/\1/p' src/main.c)
mkdir -p build
taps=()

result() { # STATUS NAME
	if [ "$1" -eq 0 ]; then
		echo "ok - $2"
	else
		echo "not ok - $2"
	fi
}

# What the compiler has read, and what make has.
needed() {

	scripts/build-module.sh 6.12 >/dev/null || return
	{
		printf '%s\n' Kbuild Makefile dkms.conf scripts/kdir.sh src/compat/Kbuild.include
		find build/module-6.12 -name '.*.o.cmd' -exec cat {} + |
			grep -oE '\b(src|include/uapi/tern)/[a-z0-9_/]+\.[ch]\b'
	} | sort -u
}

contents() { # PACKAGE
	diff <(needed) <(dpkg-deb --fsys-tarfile "$1" | tar -t | grep -v '/$' |
		sed -n "s,^./usr/src/tern-$version/,,p" | sort) &&
		diff - <(dpkg-deb --fsys-tarfile "$1" | tar -t | grep -v '/$' |
			grep -v '^./usr/src/tern-' | sort) <<-'FILES'
	./usr/share/doc/tern-dkms/changelog.gz
	./usr/share/doc/tern-dkms/copyright
	FILES
}

tools_contents() { # PACKAGE
	diff - <(dpkg-deb --fsys-tarfile "$1" | tar -t | grep -v '/$' | sort) <<-'FILES'
	./usr/sbin/tern
	./usr/share/bash-completion/completions/tern
	./usr/share/doc/tern-tools/changelog.gz
	./usr/share/doc/tern-tools/copyright
	./usr/share/man/man8/tern.8.gz
	FILES
}

versions() { # PACKAGE
	echo "MODULE_VERSION $version, the package's $(dpkg-deb -f "$1" Version)"
	[ "$(dpkg-deb -f "$1" Version)" = "$version" ] &&
		dpkg-deb --fsys-tarfile "$1" | tar -xO "./usr/src/tern-$version/dkms.conf" |
		grep -x "PACKAGE_VERSION=\"$version\""
}

try() { # NAME COMMAND...
	local name=$1 status=0
	shift
	"$@" >build/check-deb.log 2>&1 || status=$?
	[ "$status" -eq 0 ] || sed 's/^/# /' build/check-deb.log
	result "$status" "$name"
}

suite() { # SUITE ENTRY
	local out=build/check-deb/$1 package tools status=0
	echo 1..5
	try "$1: the packages build" scripts/deb.sh "$out" "$2/build"
	package=$(echo "$out"/tern-dkms_*.deb)
	tools=$(echo "$out"/tern-tools_*.deb)
	try "$1: lintian has no error and no warning" scripts/in-root.sh "$2/build" "$out" \
		lintian --allow-root --fail-on error,warning "/mnt/tern_${version}_amd64.changes"
	try "$1: the package has what the build of the module reads, and nothing else" \
		contents "$package"
	try "$1: tern-tools has the program, its page and its completion" tools_contents "$tools"
	try "$1: one version, of the module, the package and DKMS" versions "$package"

	cp tests/deb/install.sh tests/golden/third.stream "$out/"
	scripts/in-root.sh "$2/fresh" "$out" bash /mnt/install.sh \
		"/mnt/${package##*/}" "$version" "/mnt/${tools##*/}" || status=$?
	[ "$1" != bookworm ] || scripts/vm.sh --kernel 6.12 --out build/vm/signature-dkms \
		--append module.sig_enforce=1 -- bash tests/vm/signature.sh "$out/tern.ko" \
		"module with unavailable key" || status=$?
	return "$status"
}

for suite; do
	tap=build/check-deb-$suite.tap
	taps+=("$tap")
	echo "# $suite"
	# A suite that cannot be fetched.
	if ! entry=$(scripts/cache.sh deb "$suite" 2>build/fetch.log); then
		printf '1..1\nok - the package in %s # SKIP %s\n' "$suite" \
			"$(tail -n 1 build/fetch.log)" | tee "$tap"
		continue
	fi
	suite "$suite" "$entry" 2>&1 | tee "$tap" ||
		printf '1..1\nnot ok - %s: a program of the above reported a failure\n' "$suite" |
			tee -a "$tap"
done

scripts/tap.sh "${taps[@]}"
