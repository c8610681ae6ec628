#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Which tests carry which number of Documentation/requirements.rst?

Prints a line a number. Fails on a number without a test, and on a test with a
number that the page does not have.

A test carries V1-4 as "V1-4" in a comment or a title, or as "V1_4" in a name, and
S-1 also as "S1".
"""

import collections
import pathlib
import re
import subprocess
import sys

PAGE = "Documentation/requirements.rst"
FAMILIES = ("S", "V1", "P")
NUMBER = re.compile(r"(?<![A-Za-z0-9-])(?:(V1)[-_](\d+)|([SP])-?(\d+))(?![0-9A-Za-z])")
TESTS = ("tests/host", "tests/selftests", "tests/migration", "tests/vm", "tests/fuzz")


def required(text):
    return re.findall(r"^((?:%s)-\d+)$" % "|".join(FAMILIES), text, re.MULTILINE)


def tests():
    """All files of tests that git knows or will know; without git, all there are."""
    try:
        names = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "--", *TESTS],
            check=True, capture_output=True, text=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        names = [str(p) for top in TESTS for p in pathlib.Path(top).rglob("*") if p.is_file()]
    return sorted(n for n in names if n.endswith((".c", ".h", ".py", ".sh")))


def carried():
    found = collections.defaultdict(list)
    for name in tests():
        for number, line in enumerate(pathlib.Path(name).read_text().splitlines(), 1):
            # In a name the numbers stand side by side: S1_S2, V1_4_P5.
            for match in NUMBER.finditer(re.sub(r"_(?=[SPV]\d)|_(?=[a-z])", " ", line)):
                key = f"{match[1] or match[3]}-{match[2] or match[4]}"
                found[key].append((name, number))
    return found


def places(hits):
    by_file = collections.defaultdict(list)
    for name, line in hits:
        if str(line) not in by_file[name]:
            by_file[name].append(str(line))
    return "  ".join(f"{name}:{','.join(lines)}" for name, lines in by_file.items())


def main():
    page = required(pathlib.Path(PAGE).read_text())
    found = carried()
    bad = 0
    for key in page:
        print(f"{key:6} {places(found[key]) or 'NO TEST'}")
        bad += not found[key]
    for key in sorted(set(found) - set(page)):
        print(f"{key:6} {places(found[key])}: {PAGE} has no such number")
        bad += 1
    if len(page) != len(set(page)):
        print(f"{PAGE}: a number stands twice")
        bad += 1
    return bad != 0


sys.exit(main())
