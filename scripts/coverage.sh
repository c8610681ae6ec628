#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# coverage.sh - how much of src/core the host tests run, in lines; and which lines of all
# of src/ the selftests reach on User Mode Linux, those of error paths apart. Fails if
# src/core is below its goal. The lines that are left out are named.

set -euo pipefail
cd "$(dirname "$0")/.."
goal=95

out=$PWD/build/coverage
rm -rf "$out"
mkdir -p "$out"
make -s -C tests/host check OUT="$out" COMPILERS=gcc COVERAGE=1 >"$out/log" 2>&1 || {
	tail -n 40 "$out/log"
	echo "coverage: the host tests fail" >&2
	exit 1
}

cd "$out"
# Each line of a .gcov file: count:number:source; "#####" was never run.
all=0 run=0
for object in gcc/core-*.gcda; do
	gcov -o gcc "$object" >/dev/null 2>&1
done
for file in *.c.gcov; do
	source=$(sed -n 's/^ *-: *0:Source://p' "$file")
	case $source in */src/core/*) ;; *) continue ;; esac
	lines=$(grep -cE '^ *([0-9]+\*?|#####|=====):' "$file")
	missed=$(grep -cE '^ *(#####|=====):' "$file" || true)
	printf '%-24s %4d of %4d lines, %5.1f %%\n' "src/core/${source##*/}" \
		$((lines - missed)) "$lines" "$(bc -l <<<"($lines - $missed) * 100 / $lines")"
	sed -nE "s|^ *(#####\|=====): *([0-9]+):[[:space:]]*(.*)|    ${source##*/}:\2: \3|p" "$file"
	all=$((all + lines)) run=$((run + lines - missed))
done
percent=$(bc -l <<<"$run * 100 / $all")
printf 'src/core: %d of %d lines, %.1f %%; goal %d %%: ' "$run" "$all" "$percent" "$goal"
if [ "$(bc -l <<<"$percent >= $goal")" = 1 ]; then
	echo met
else
	echo missed
	exit 1
fi

# All selftests.
cd ../..
module=$out/module
scripts/traced-module.sh "$module"
mapfile -t jobs < <(scripts/check-uml.sh jobs all)
make -s -C tests/selftests KSFT="$(scripts/cache.sh kselftest)/tools/testing/selftests" \
	OUTPUT="$(mkdir -p build/selftests && readlink -e build/selftests)" >build/selftests.log 2>&1
files=()
for program in build/selftests/*_test tests/selftests/*.sh tests/uml/selftests.sh "$module/tern.ko" \
	"$module/tests/coverage/tern_trace.ko"; do
	files+=(--add "$program")
done
rm -f build/uml/coverage/hits
scripts/uml.sh --timeout 900 --out build/uml/coverage "${files[@]}" -- \
	sh ./selftests.sh "${jobs[@]}" >"$out/uml.tap" 2>&1 || {
	grep '^not ok' "$out/uml.tap"
	echo "coverage: the selftests fail" >&2
	exit 1
}
echo
echo "on User Mode Linux, lines whose code did not run:"
scripts/coverage.py "$module/tern.ko" build/uml/coverage/hits
