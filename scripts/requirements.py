#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Which tests carry which number of Documentation/requirements.rst?

Prints one line per number, with the tests by their names. Fails on a number without a test, on a test with a number
that the page does not have, and if the page has others than REQUIRED.

A test carries V1-4 in its title, or in the comment directly above its function:
as "V1-4", or in a name as "V1_4"; S-1 and P-1 also as "S1" and "P1". Mentions elsewhere, in a
helper or in the middle of a test, do not count.
"""

import ast
import collections
import pathlib
import re
import subprocess
import sys

PAGE = "Documentation/requirements.rst"
TESTS = ("tests/host", "tests/selftests", "tests/migration", "tests/vm", "tests/fuzz", "tests/tools")

# What the page must have: an entry that is deleted shall be missed.
REQUIRED = (
    [f"S-{n}" for n in range(1, 11)]
    + [f"V1-{n}" for n in range(1, 32)]
    + [f"V2-{n}" for n in range(1, 16)]
    + [f"P-{n}" for n in range(1, 37)]
    + [f"DMA-{n}" for n in range(1, 11)]
    + [f"INT-{n}" for n in range(1, 7)]
    + [f"LAB-{n}" for n in range(1, 20)]
)

NUMBER = re.compile(r"(?<![A-Za-z0-9-])(?:(V[12]|DMA|INT|LAB)[-_](\d+)|([SP])-?(\d+))(?![0-9A-Za-z])")

# A test's first line in C: of kselftest's harness, or of tests/host/tap.h.
HARNESS = re.compile(r"TEST\((\w+)\)|TEST_F(?:_TIMEOUT|_SIGNAL)?\((\w+, \w+)|TEST_SIGNAL\((\w+)")
HOST = re.compile(r"static void (test_\w+)\(void\)$")
ROW = re.compile(r'\t\{ ("[^"]+"), (test_\w+) \},$')
SHELL = re.compile(r'\s*(?:say \S+|check) ("[^"]+")|.*\becho "ok - ([^"]+)"')


def numbers(text):
    # In a name the numbers stand side by side: S1_S2, V1_4_P5.
    for match in NUMBER.finditer(re.sub(r"_(?=[SPV]\d|(?:DMA|INT|LAB)_)|_(?=[a-z])", " ", text)):
        yield f"{match[1] or match[3]}-{match[2] or match[4]}"


def comment_above(lines, at):
    """The comment that ends where this line begins; none if there is a gap."""
    first = at
    if at and lines[at - 1].endswith("*/"):
        first -= 1
        while first and not lines[first].lstrip().startswith("/*"):
            first -= 1
    return " ".join(lines[first:at])


def titles_c(text):
    lines = text.splitlines()
    for at, line in enumerate(lines):
        if match := HARNESS.match(line) or HOST.match(line):
            name = next(filter(None, match.groups())).replace(", ", ".")
            yield name, f"{name} {comment_above(lines, at)}"
        if match := ROW.match(line):
            yield match[2], match[1]


def strings(node):
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value, part.value


def titles_py(text):
    """What is given to tap.test(), be it by a loop over a table; functions of a list TESTS."""
    tree = ast.parse(text)
    listed = {name.id for node in tree.body if isinstance(node, ast.Assign)
              for name in ast.walk(node.value)
              if isinstance(name, ast.Name) and ast.unparse(node.targets[0]) == "TESTS"}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in listed:
            yield node.name, f"{node.name} {ast.get_docstring(node) or ''}"
    tables = {node.targets[0].id: node.value for node in tree.body
              if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)}
    loops = {name.id: tables.get(node.iter.id) if isinstance(node.iter, ast.Name) else node.iter
             for node in ast.walk(tree) if isinstance(node, ast.For)
             for name in ast.walk(node.target) if isinstance(name, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "tap.test":
            title = node.args[0]
            if isinstance(title, ast.Name):
                title = loops.get(title.id) or title
            yield from strings(title)


def titles_sh(text):
    for line in text.splitlines():
        if match := SHELL.match(line):
            yield match[1] or match[2], match[1] or match[2]


TITLES = {".c": titles_c, ".py": titles_py, ".sh": titles_sh}


def tests():
    """All files of tests that git knows or will know; without git, all there are."""
    try:
        names = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "--", *TESTS],
            check=True, capture_output=True, text=True).stdout.split()
        names = [n for n in names if pathlib.Path(n).exists()]
    except (OSError, subprocess.CalledProcessError):
        names = [str(p) for top in TESTS for p in pathlib.Path(top).rglob("*") if p.is_file()]
    return sorted(n for n in names if pathlib.Path(n).suffix in TITLES)


def carried():
    found = collections.defaultdict(list)
    for name in tests():
        path = pathlib.Path(name)
        for test, title in TITLES[path.suffix](path.read_text()):
            for key in numbers(title):
                found[key].append((name, test))
    return found


def places(hits):
    by_file = collections.defaultdict(list)
    for name, test in hits:
        if test not in by_file[name]:
            by_file[name].append(test)
    return "; ".join(f"{name}: {', '.join(tests)}" for name, tests in by_file.items())


def main():
    page = re.findall(r"^((?:S|V[12]|P|DMA|INT|LAB)-\d+)$", pathlib.Path(PAGE).read_text(), re.MULTILINE)
    found = carried()
    wrong = [f"{key}: no test" for key in page if not found[key]]
    for key in page:
        print(f"{key:6} {places(found[key]) or 'no test'}")
    for key in sorted(set(found) - set(page)):
        wrong.append(f"{key}: {places(found[key])}, but not in {PAGE}")
    for key in REQUIRED:
        if page.count(key) != 1:
            wrong.append(f"{key}: {page.count(key)} times in {PAGE}")
    for key in page:
        if key not in REQUIRED:
            wrong.append(f"{key}: in {PAGE}, but not among what is required here")
    for line in wrong:
        print(line)
    return bool(wrong)


sys.exit(main())
