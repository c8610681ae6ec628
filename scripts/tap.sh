#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# tap.sh FILE... - count the results of TAP files, as "N passed, N failed, N skipped".
#
# A file is one TAP document after another. Each begins with its plan, 1..N. Each result
# that a plan lacks is a failure, and so are a result beyond a plan or without one, a
# wrong number, "Bail out!", and a file without a plan. So a program that dies halfway
# fails its run. Lines that begin with "#" and indented lines do not count: they repeat
# what a program of a runner printed.

set -euo pipefail

[ $# -gt 0 ] || {
	echo 'usage: tap.sh FILE...' >&2
	exit 1
}
# shellcheck disable=SC2016 # the variables are awk's
awk '
function fault(n, what) {
	failed += n
	printf "# %s: %s\n", file, what
}

function end_of_document() {
	if (seen < planned)
		fault(planned - seen, "a plan of " planned " tests has " seen " results")
	planned = seen = 0
}

function begin(plan) {
	end_of_document()
	documents++
	planned = substr(plan, 4) + 0
	if (planned == 0 && plan ~ /# *SKIP/)
		skipped++
	else if (planned == 0)
		fault(1, "a plan of no tests")
}

function result(line,    good, number) {
	good = line !~ /^not /
	sub(/^(not )?ok */, "", line)
	if (++seen > planned) {
		seen--
		fault(1, "a result that no plan has: " line)
		return
	}
	number = line ~ /^[0-9]+( |$)/ ? line + 0 : seen
	if (number != seen)
		fault(1, "result " number " where " seen " was expected")
	else if (!good)
		failed++
	else if (line ~ /# *SKIP/)
		skipped++
	else
		passed++
}

function count(    line, status) {
	documents = 0
	while ((status = (getline line < file)) > 0) {
		sub(/\r$/, "", line)
		if (line ~ /^1\.\.[0-9]+( |$)/)
			begin(line)
		else if (line ~ /^(not )?ok( |$)/)
			result(line)
		else if (line ~ /^Bail out!/)
			fault(1, line)
	}
	end_of_document()
	if (status < 0)
		fault(1, "cannot be read")
	else if (!documents)
		fault(1, "no plan")
}

BEGIN {
	for (i = 1; i < ARGC; i++) {
		file = ARGV[i]
		count()
	}
	printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
	exit failed > 0
}' "$@"
