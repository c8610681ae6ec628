#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Report what clang-format would change, by .clang-format.

    format.py [--write] FILE...

Left as written is what clang-format 14 does badly: initialisers, chains of ?:, macros, and
the alignment of what follows in a line, as of a comment. So is a function in one line.
With --write the files are changed. Fails if there is anything to change.
"""

import difflib
import pathlib
import re
import subprocess
import sys

# kselftest's macros as C that clang-format knows, and back.
TO_C = (
    (r"^(FIXTURE|FIXTURE_VARIANT)\((\w+)\) \{", r"struct \1__\2 {"),
    (r"^FIXTURE_VARIANT_ADD\((\w+), (\w+)\) \{", r"struct FIXTURE_VARIANT_ADD__\1__\2 = {"),
    (r"FIXTURE_DATA\((\w+)\) \*", r"FIXTURE_DATA_\1_ *"),
    (r"^(\t+(?!\t|if |else |for |while ).*\))\n(\t+TH_LOG\()", r"\1 + //@\n\2"),
)
FROM_C = (
    (r"^struct (FIXTURE|FIXTURE_VARIANT)__(\w+) \{", r"\1(\2) {"),
    (r"^struct FIXTURE_VARIANT_ADD__(\w+)__(\w+) = \{", r"FIXTURE_VARIANT_ADD(\1, \2) {"),
    (r"FIXTURE_DATA_(\w+)_ \*", r"FIXTURE_DATA(\1) *"),
    (r" \+ //@\n", r"\n"),
)


def replace(text, pairs):
    for old, new in pairs:
        text = re.sub(old, new, text, flags=re.MULTILINE)
    return text


def formatted(name, text):
    out = subprocess.run(["clang-format", f"--assume-filename={name}"], input=replace(text, TO_C),
                         check=True, capture_output=True, text=True).stdout
    return replace(out, FROM_C)


def spaced(line):
    """The line with its indentation, and one space wherever there is any."""
    body = line.lstrip()
    return line[:len(line) - len(body)] + " ".join(body.split())


def kept(lines):
    """The numbers of the lines that stay as written."""
    numbers, depth = set(), 0
    for number, line in enumerate(lines):
        code = re.sub(r'"(\\.|[^"\\])*"|\'(\\.|[^\'\\])*\'|/\*.*?\*/', "", line)
        opened = re.search(r"(?:=|^FIXTURE_VARIANT_ADD\(.*\)) \{.*|\)\{.*", code)
        if depth or opened:
            numbers.add(number)
            part = code if depth else opened[0]
            depth = max(0, depth + part.count("{") - part.count("}"))
        if " ?" in code or "?:" in code:
            # With the lines before and after of the statement.
            numbers.update((number - 1, number, number + 1))
        if re.match(r"\S.*\) \{.*\}$", code):
            numbers.add(number)	# a function in one line, of a list of such
        if code.startswith("#define") or number and lines[number - 1].endswith("\\"):
            numbers.add(number)
    return numbers


def changes(name, text):
    """The text as it should be, and the lines of it that differ."""
    old, new = text.splitlines(), formatted(name, text).splitlines()
    keep, result, differ = kept(old), [], []
    matcher = difflib.SequenceMatcher(None, [*map(spaced, old)], [*map(spaced, new)], autojunk=False)
    for what, first, end, to, to_end in matcher.get_opcodes():
        if what == "equal" or (first < end and keep.issuperset(range(first, end))) or \
                (first == end and first in keep and first - 1 in keep):
            result += old[first:end]
        else:
            result += new[to:to_end]
            differ.append((first + 1, old[first:end], new[to:to_end]))
    return "\n".join(result) + "\n", differ


def main():
    write = "--write" in sys.argv
    lines = 0
    for name in (name for name in sys.argv[1:] if name != "--write"):
        path = pathlib.Path(name)
        text, differ = changes(name, path.read_text())
        for first, old, new in differ:
            lines += max(len(old), len(new))
            if not write:
                print(f"{name}:{first}:", *(f"-{line}" for line in old), *(f"+{line}" for line in new), sep="\n")
        if write and differ:
            path.write_text(text)
    if lines:
        print(f"{lines} lines {'changed' if write else 'to change'}")
    return bool(lines) and not write


sys.exit(main())
