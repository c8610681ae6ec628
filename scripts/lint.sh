#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# lint.sh - what a look at the tree can show.

set -euo pipefail
cd "$(dirname "$0")/.."
kernel=$(scripts/cache.sh kselftest)
mkdir -p build

echo "1..$(grep -c '^try ' scripts/lint.sh)" | tee build/lint.tap
try() { # NAME COMMAND...
	local name=$1 log
	shift
	if log=$("$@" 2>&1); then
		echo "ok - $name"
	else
		printf '%s\n' "$log" | head -n 40 | sed 's/^/# /'
		echo "not ok - $name"
	fi | tee -a build/lint.tap
}

files() { # PATHSPEC...: in a clone what git knows, else what is there
	if git rev-parse --git-dir >/dev/null 2>&1; then
		git ls-files -co --exclude-standard -- "$@"
	else
		find . -type f -not -path './build/*' -printf '%P\n'
	fi
}

spdx() {
	local file
	files | grep -vE '^LICENSE$|^tests/(golden|fuzz/corpus)/|^Documentation/ABI/|^debian/(changelog|copyright|source/format)$|\.(txt|svg)$' | while read -r file; do
		head -n 3 "$file" | grep -q 'SPDX-License-Identifier: GPL-2.0-only' || echo "$file"
	done | grep . && return 1
	[ -z "$(grep -rL 'WITH Linux-syscall-note' include/uapi)" ]
}

checkpatch() {
	local file found=''
	for file in $(files '*.c' '*.h'); do
		found+=$(perl "$kernel/scripts/checkpatch.pl" --no-tree --strict --terse \
			--no-summary --max-line-length=100 --show-types -f "$file" \
			--ignore "$(ignored "$file")" | grep -E ': (ERROR|WARNING):' || true)
	done
	[ -z "$found" ] || {
		printf '%s\n' "$found"
		return 1
	}
}

format() {
	files '*.c' '*.h' | xargs scripts/format.py
}

# Rules that a file has a reason to break.
ignored() {
	local rules=FILE_PATH_CHANGES
	case $1 in
	# The one place that asks for the version; its macros are lists of members.
	src/compat/*) rules+=,LINUX_VERSION_CODE,NEW_TYPEDEFS,CONSTANT_COMPARISON,COMPLEX_MACRO,MACRO_ARG_UNUSED,CONST_STRUCT ;;
	# Copies of another file system's operations cannot be const.
	src/function/memory.c) rules+=,CONST_STRUCT ;;
	# Stands in for the kernel, whose macros take what these do not use.
	tests/host/* | tests/fuzz/* | tools/env.h) rules+=,MACRO_ARG_UNUSED,NEW_TYPEDEFS,MEMORY_BARRIER,MACRO_WITH_FLOW_CONTROL ;;
	esac
	case $1 in
	# Not the kernel: no __printf(), and argp's functions return an errno that is positive.
	tools/*) rules+=,PREFER_DEFINED_ATTRIBUTE_MACRO,USE_NEGATIVE_ERRNO ;;
	# libFuzzer's names.
	tests/fuzz/*) rules+=,CAMELCASE,AVOID_EXTERNS ;;
	esac
	case $1 in
	# Not the kernel: no __aligned(), and a flag between threads is volatile.
	# And its own reader says what is wrong where it sees it.
	tests/*) rules+=,USE_NEGATIVE_ERRNO,MACRO_WITH_FLOW_CONTROL,VOLATILE,PREFER_DEFINED_ATTRIBUTE_MACRO,EMBEDDED_FUNCTION_NAME ;;
	esac
	echo "$rules"
}

kernel_doc() {
	files 'src/*.c' 'src/*.h' 'include/*.h' 'tools/*.c' 'tools/*.h' | xargs perl "$kernel/scripts/kernel-doc" -none -Werror
}

# Every function that another file can call says what it guarantees.
documented() {
	local name bad=0
	for name in $(grep -hoE '^[a-z].*\b(tern_[a-z_]+)\(' src/core/*.h src/function/*.h src/mem/*.h src/vfio/*.h src/bus/*.h |
		grep -oE 'tern_[a-z_]+\($' | tr -d '(' | sort -u); do
		grep -rqF "* $name() - " src || {
			echo "$name() has no kernel-doc"
			bad=1
		}
	done
	return $bad
}

shell() {
	files '*.sh' '*.bash-completion' | xargs shellcheck -x -S warning
}

spelling() {
	files | grep -vE '^LICENSE$|^tests/(golden|fuzz/corpus)/' | xargs codespell -L fro
}

# By Debian's own python3, which has Debian's pyflakes.
python() {
	files '*.py' | xargs -r /usr/bin/python3 -m pyflakes
}

# Links and paths of the documents lead somewhere.
links() {
	local doc target bad=0
	for doc in $(files '*.md' 'Documentation/*'); do
		for target in $(grep -oE '\]\([^)#:]+\)' "$doc" | tr -d ']()'); do
			[ -e "$(dirname "$doc")/$target" ] || {
				echo "$doc: no $target"
				bad=1
			}
		done
		for target in $(grep -oE '\b(src|tests|scripts|include|Documentation)/[a-zA-Z0-9_./-]+[a-zA-Z0-9_]' "$doc" | sort -u); do
			[ -e "$target" ] || {
				echo "$doc: no $target"
				bad=1
			}
		done
	done
	return $bad
}

# Each target of the Makefile that a person can say has a line in `make help`.
help_lines() {
	local target bad=0
	for target in $(sed -n 's/^\.PHONY: //p;/^\.PHONY/,/[^\\]$/s/^\t//p' Makefile | tr -d '\\'); do
		make -s help | grep -qE "^  $target " || [ "$target" = kdir ] || {
			echo "make help does not know $target"
			bad=1
		}
	done
	return $bad
}

# tests/README.md lists every mutant, with its rule and its suite, and no other.
mutants() {
	local patch row=''
	for patch in tests/mutants/*.patch; do
		row+="| \`$(basename "$patch" .patch)\` | $(sed -n 's/^Rule: //p' "$patch")"
		row+=" | $(sed -n 's/^Suite: //p' "$patch") |"$'\n'
	done
	diff -u <(printf '%s' "$row") <(sed -n '/<!-- mutants/,/^$/p' tests/README.md | grep '^| `')
}

# The words of Documentation/style.rst, and that the check finds what is wrong.
words() {
	scripts/words.py || return
	cat >build/words.md <<-EOF
	The guest stands
	still \`for ever\`, for ever.
	EOF
	diff <(scripts/words.py build/words.md | cut -d : -f 1,2) - <<-EOF || {
	build/words.md:1
	build/words.md:2
	EOF
		echo "a seeded violation was not found"
		return 1
	}
}

sentences() {
	scripts/sentences.py || return
	printf '%s\n' "/* $(printf 'word %.0s' {1..13})" " * two  spaces $(printf 'word %.0s' {1..11})" \
		" * end. */" >build/words.h
	if scripts/sentences.py build/words.h >/dev/null; then
		echo "a seeded sentence of 27 words was not found"
		return 1
	fi
}

# What is guessed at may break another rule. A patch that does not apply breaks nothing;
# `make mutants` would say so too late.
mutants_apply() {
	local patch bad=0
	for patch in tests/mutants/*.patch tests/bench/*.patch; do
		patch --dry-run -f -s -p1 -F0 <"$patch" || {
			echo "$patch does not apply"
			bad=1
		}
	done
	return $bad
}

# The changes that a person has judged are still in the tree, and the programs there are.
mutate() {
	scripts/mutate.py --check
}

# The lines that have a reason not to be reached are still in the tree.
unreached() {
	python3 scripts/coverage.py --check
}

# A number leads to Documentation/requirements.rst or ways.rst, never to a list that
# the reader does not have.
issue_numbers() {
	! grep -rnIE '\b(A[12]|B1|C1|D[1-6])[-_][0-9]+' \
		README.md Makefile Documentation tests src scripts include
}

# Each number that a text refers to is defined.
numbers_defined() {
	! comm -23 <(grep -rhoIE '\b(S|V[12]|P|DMA|INT|W)-[0-9]+\b' \
		README.md Makefile Documentation tests src scripts include | sort -u) \
		<({
			grep -hoE '^(S|V[12]|P|DMA|INT)-[0-9]+$' Documentation/requirements.rst
			grep -hoE '^W-[0-9]+' Documentation/ways.rst
		} | sort -u) | grep .
}

# The counter of results: what each of these inputs counts as, and that the first one
# alone is no failure.
counted() {
	local input expected found bad=0
	while IFS='|' read -r expected input; do
		printf '%b' "$input" >build/counted.tap
		found=$(scripts/tap.sh build/counted.tap | tail -n 1)
		[ "$found" = "$expected" ] || {
			echo "$input: expected $expected, found $found"
			bad=1
		}
		scripts/tap.sh build/counted.tap >/dev/null && [[ $expected != *' 0 failed'* ]] && {
			echo "$input: its failure is not in the exit status"
			bad=1
		}
	done <<'INPUTS'
4 passed, 0 failed, 2 skipped|1..2\nok 1 a\nok 2 b # SKIP no c\n# ok 3 d\n    ok 4 e\n1..0 # SKIP f\nTAP version 13\n1..3\nok - g\nok - h\nok - i\n
1 passed, 2 failed, 0 skipped|1..3\nok 1 dies after this\n
1 passed, 2 failed, 0 skipped|1..2\nok 1 dies, and another one follows\n1..1\n
0 passed, 1 failed, 0 skipped|1..1\nnot ok 1 a\n
0 passed, 1 failed, 0 skipped|1..1\nnot ok 1 a # SKIP no excuse\n
1 passed, 1 failed, 0 skipped|1..1\nok 1 a\nok 2 beyond the plan\n
0 passed, 2 failed, 0 skipped|1..2\nok 2 a\nok 1 out of order\n
1 passed, 1 failed, 0 skipped|1..2\nok 1 a\nok 1 a again\n
1 passed, 1 failed, 0 skipped|1..1\nok 1 a\nnot ok - status 1\n
1 passed, 1 failed, 0 skipped|1..1\nok 1 a\nBail out! no device\n
0 passed, 2 failed, 0 skipped|ok 1 no plan\n
0 passed, 1 failed, 0 skipped|# no plan and no result\n
0 passed, 1 failed, 0 skipped|1..0\n
0 passed, 1 failed, 0 skipped|
INPUTS
	return $bad
}

try "every file has its SPDX line" spdx
try "tap.sh counts each result against its plan" counted
try "checkpatch --strict: no error, no warning" checkpatch
try "clang-format: nothing to change" format
try "the layers point one way" scripts/layers.sh
try "scripts/layers.sh reports what it forbids" bash tests/lint/layers.sh
try "kernel-doc is well-formed" kernel_doc
try "a function that needs a lock asserts it" python3 scripts/locks.py
try "every function that is called from elsewhere has kernel-doc" documented
try "shell scripts" shell
try "pyflakes: no name undefined or unused" python
try "spelling" spelling
try "the table of mutants is complete" mutants
try "every mutant applies" mutants_apply
try "the lists of make mutate match the tree" mutate
try "the lines of tests/coverage/unreached are in the tree" unreached
try "each bug's reproducer is there" tests/regress/run.sh check
try "what the documents name is there" links
# The tests of each number are printed, too.
requirements() {
	scripts/requirements.py | tee build/requirements
	return "${PIPESTATUS[0]}"
}

try "no number of an issue" issue_numbers
try "every number is defined" numbers_defined
try "the words of Documentation/style.rst" words
try "sentences of 25 words at most" sentences
try "every numbered requirement has a test" requirements
sed 's/^/# /' build/requirements
try "make help has one line per target" help_lines

scripts/tap.sh build/lint.tap
