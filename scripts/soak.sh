#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# soak.sh devices|storm - long runs on User Mode Linux with KASAN, under the name `make soak`.
# devices: migrations between two devices, again and again (tests/soak/soak.c). storm: random
# calls from many processes, on two processors (tests/soak/storm.c). Ends with a summary.
#
#	HOURS=		how long; a part of an hour is allowed
#	N=		of devices: how many migrations, in place of HOURS (1000)
#	SEED=		of all that is drawn (1)
#	FROM=		of devices: begin at this iteration
#	PROCESS= STEPS=	of storm: only this process, and so many of its steps
#	LIST=		of storm: only these of its steps, as 3,17,40-52; they are printed
#	SHRINK=1	of storm: with PROCESS and STEPS, search a short list that still fails
#	COVERAGE=1	of storm: on one processor, and the lines of src/ that it has run

set -euo pipefail
cd "$(dirname "$0")/.."
part=${1:-devices}
out=$PWD/build/soak
seconds=
[ -z "${HOURS:-}" ] || seconds=$(bc <<<"scale = 0; $HOURS * 3600 / 1")
kselftest=$(scripts/cache.sh kselftest)
mkdir -p "$out"
make -s -C tests/soak KSFT="$kselftest/tools/testing/selftests"

# What a run of a program prints, and whether it and the kernel are content.
run() { # KERNEL MIB TIMEOUT NAME FILE... -- COMMAND
	local kernel=$1 mib=$2 limit=$3 name=$4 files=()
	shift 4
	while [ "$1" != -- ]; do
		files+=(--add "$1")
		shift
	done
	scripts/uml.sh --kernel "$kernel" --mem "$mib" --timeout "$limit" --out "build/uml/$name" \
		"${files[@]}" -- sh -c "$2"
}

# Its last line; the exit status is that of the run.
verdict() { # STATUS WHAT
	if [ "$1" -eq 0 ]; then
		echo "# complaints   none: $2"
	else
		echo '# complaints   the run failed: see above, and build/uml'
	fi
	return "$1"
}

devices() {
	local kernel options=(-s "${SEED:-1}") status=0 module
	kernel=$(scripts/uml-kernel.sh)
	module=$(scripts/build-module.sh "uml-$kernel")
	[ -z "${FROM:-}" ] || options+=(-f "$FROM")
	if [ -n "$seconds" ]; then
		options+=(-t "$seconds")
	else
		options+=(-n "${N:-1000}")
	fi
	# A run by number ends by itself. The program ends a wait that lasts too long.
	run "$kernel" 512 $((${seconds:-864000} + 900)) soak "$out/soak" "$module" -- \
		"insmod tern.ko && ./soak ${options[*]} && rmmod tern" || status=$?
	verdict $status "no warning, no report of KASAN or lockdep, no leak by kmemleak"
}

storm_once() { # NAME OPTION...
	local name=$1 module
	shift
	module=$(scripts/build-module.sh uml-smp) || return
	run smp 1024 $((${seconds:-60} + 300)) "$name" "$out/storm" "$module" -- \
		"insmod tern.ko && ./storm $* && rmmod tern"
}

covered() { # OPTION...
	local module=$out/module
	scripts/traced-module.sh "$module"
	rm -f build/uml/storm-coverage/hits
	run "$(scripts/uml-kernel.sh)" 1024 $((${seconds:-60} + 300)) storm-coverage "$out/storm" \
		"$module/tern.ko" "$module/tests/coverage/tern_trace.ko" -- \
		"insmod tern_trace.ko && insmod tern.ko && ./storm $*; status=\$?
		while cat /sys/module/tern_trace/parameters/coverage >/tmp/hits && [ -s /tmp/hits ]; do
			cat /tmp/hits >>/out/hits
		done
		exit \$status"
	# Its own verdict is of all selftests together.
	scripts/coverage.py "$module/tern.ko" build/uml/storm-coverage/hits | grep -E '^(src/[^:]*|all) +[0-9]' || true
}

# Halves of the list are left out as long as the rest still fails.
shrink() {
	local size=$STEPS kept at rest
	mapfile -t kept < <(seq 0 $((STEPS - 1)))
	fails() {
		! storm_once storm-shrink -s "${SEED:-1}" -o "$PROCESS" -n "$STEPS" \
			-l "$(IFS=,; echo "$*")" >"$out/shrink.log" 2>&1
	}
	fails "${kept[@]}" || {
		echo "soak: process $PROCESS alone does not fail in $STEPS steps"
		exit 1
	}
	while size=$(((size + 1) / 2)); do
		at=0
		while [ $at -lt ${#kept[@]} ]; do
			rest=("${kept[@]:0:at}" "${kept[@]:at+size}")
			if [ ${#rest[@]} -gt 0 ] && fails "${rest[@]}"; then
				kept=("${rest[@]}")
				echo "# ${#kept[@]} steps still fail"
			else
				at=$((at + size))
			fi
		done
		[ $size -gt 1 ] || break
	done
	echo "# again: make soak PART=storm SEED=${SEED:-1} PROCESS=$PROCESS STEPS=$STEPS LIST=$(IFS=,; echo "${kept[*]}")"
}

storm() {
	local options=(-s "${SEED:-1}" -t "${seconds:-60}") status=0
	[ -z "${PROCESS:-}" ] || options+=(-o "$PROCESS")
	[ -z "${STEPS:-}" ] || options+=(-n "$STEPS")
	[ -z "${LIST:-}" ] || options+=(-d -l "$LIST")
	if [ -n "${SHRINK:-}" ]; then
		shrink
	elif [ -n "${COVERAGE:-}" ]; then
		covered "${options[@]}" || status=$?
		verdict $status "no warning, no report of KASAN or lockdep, no leak by kmemleak"
	else
		storm_once storm "${options[@]}" || status=$?
		verdict $status "no warning and no report of KASAN; this kernel has no lockdep and no kmemleak"
	fi
}

case $part in
devices | storm) "$part" ;;
*)
	echo "usage: soak.sh devices|storm" >&2
	exit 1
	;;
esac
