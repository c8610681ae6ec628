#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-hosts.sh [--check] [SUITE...] - the README's `make demo` as a user types it, in a
# fresh system of bookworm and in one of trixie: they have apt and make, and nothing of
# what the demo needs. With --check also `make check`, which takes an hour. And what a
# system that is not Debian reports.

set -euo pipefail
cd "$(dirname "$0")/.."

commands=(demo)
[ "${1:-}" != --check ] || {
	commands+=(check)
	shift
}
[ $# -gt 0 ] || set -- bookworm trixie
mkdir -p build
taps=()

result() { # STATUS NAME LOG
	if [ "$1" -eq 0 ]; then
		echo "ok - $2"
	else
		tail -n 40 "$3" | sed 's/^/# /'
		echo "not ok - $2"
	fi
}

# The tree as a clone has it.
tree() { # DIRECTORY
	mkdir -p "$1"
	rsync -a --delete --exclude=/.git --exclude=/build ./ "$1/"
}

type_it() { # ROOT OUT COMMAND LOG
	scripts/in-root.sh --as-machine "$1" "$2" \
		sh -c 'cd /mnt/tern && eval "$1"' sh "$3" </dev/null >"$4" 2>&1
}

ends_well() { # demo|check LOG
	case $1 in
	demo) grep -q '^  verified .*: 0 bad$' "$2" ;;
	check) tail -n 1 "$2" | grep -q '^[0-9]* passed, 0 failed, ' ;;
	esac && ! grep -m 1 -E '^(setup|cache|demo|vm): .*(failed|cannot|could not|needed)' "$2"
}

# The same system by another name: nothing is installed, and the first line says why.
not_debian() { # ROOT OUT LOG
	! type_it "$1" "$2" 'sed -i s/^ID=.*/ID=other/ /etc/os-release && make demo' "$3" &&
		head -n 1 "$3" | grep '^setup: not Debian 12 or 13, so install these yourself: ' |
		grep -w gcc-12 | grep -qw qemu-system-x86_64
}

suite() { # SUITE ROOT
	local out=build/check-hosts/$1 command status
	echo "1..$((${#commands[@]} + 1))"
	tree "$out/tern"
	status=0
	not_debian "$2" "$out" "$out/not-debian.log" || status=$?
	result "$status" "$1 by another name: the first line says what is missing" "$out/not-debian.log"
	for command in "${commands[@]}"; do
		rm -rf "$out/tern/build"
		status=0
		type_it "$2" "$out" "make $command" "$out/$command.log" || status=$?
		ends_well "$command" "$out/$command.log" || status=1
		result "$status" "$1: make $command in a fresh system" "$out/$command.log"
	done
}

for suite; do
	tap=build/check-hosts-$suite.tap
	taps+=("$tap")
	# A suite that cannot be fetched.
	if ! root=$(scripts/cache.sh host "$suite" 2>build/fetch.log); then
		printf '1..1\nok - a fresh system of %s # SKIP %s\n' "$suite" \
			"$(tail -n 1 build/fetch.log)" | tee "$tap"
		continue
	fi
	suite "$suite" "$root/root" 2>&1 | tee "$tap"
done

scripts/tap.sh "${taps[@]}"
