#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Which lines of src/ did a run reach? Written from a module built with COVERAGE=1.

    coverage.py MODULE HITS [DIR...]

MODULE is tern.ko; HITS what its parameter "coverage" gave, over the whole run. Prints the
lines below each DIR (src) whose blocks did not run, and the sums per file: all blocks, and
those of error paths. A block is an error path if its first lines return an errno, or go
to a label err_*.

The compiler calls __sanitizer_cov_trace_pc() at the head of each block. The code model of
User Mode Linux calls by a register: which one holds that address is followed through the
disassembly. A hit elsewhere is of a function that is nothing but such a call, and that
jumps there: it counts as a block of its caller's.
"""

import collections
import pathlib
import re
import subprocess
import sys

TRACE = "__sanitizer_cov_trace_pc"
INSN = re.compile(r"^ *([0-9a-f]+):\t(\S+) *(.*)$")
RELOC = re.compile(r"^\t\t\t([0-9a-f]+): R_X86_64_\w+\t(\S+)")
ERROR = re.compile(r"return -E|return ret\b|ERR_PTR\(|goto err|return [\w>.-]+ \? -E|= -E[A-Z]+;")


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def sites(module):
    """Where TRACE is in .text, the places after each call of it, and the end of .text."""
    loaded, found, pending, base, end = {}, set(), None, None, 0
    lines = run("objdump", "-dr", "--no-show-raw-insn", "-j", ".text", module).splitlines()
    for at, line in enumerate(lines):
        if match := re.match(r"^([0-9a-f]+) <(.*)>:$", line):
            loaded = {}
            if match[2] == TRACE:
                base = int(match[1], 16)
        elif match := RELOC.match(line):
            if pending:
                loaded[pending] = match[2] == TRACE
            pending = None
        elif match := INSN.match(line):
            address, name, operands = match.groups()
            end = int(address, 16)
            destination = operands.rsplit(",", 1)[-1].split("#")[0].strip()
            pending = destination if name == "movabs" else None
            if name == "mov" and "," in operands:
                source = operands.split(",")[0].strip()
                loaded[destination] = loaded.get(source, False)
            elif name == "call" and loaded.get(operands.strip().lstrip("*")):
                found.add(next(int(m[1], 16) for m in map(INSN.match, lines[at + 1:]) if m))
    return base, found, end


def places(module, addresses):
    """file:line of each address, of the outermost caller that is ours."""
    asked = "\n".join(hex(a) for a in addresses)
    text = run("addr2line", "-e", module, "-j", ".text", input=asked)
    return [re.sub(r"^.*?/((?:src|include)/)", r"\1", line.split(" ")[0]) for line in text.splitlines()]


def main():
    module, hits_file, *folders = sys.argv[1:]
    folders = folders or ["src"]
    base, found, end = sites(module)
    hits = {base + int(h) for h in pathlib.Path(hits_file).read_text().split()}
    # What lies behind is of other sections: init, exit, and what is unlikely.
    hits = {h for h in hits if h <= end}
    ordered = sorted(found | hits)
    blocks = collections.defaultdict(lambda: [0, 0])
    for address, place in zip(ordered, places(module, [a - 1 for a in ordered])):
        blocks[place][0] += 1
        blocks[place][1] += address in hits
    sums = collections.defaultdict(lambda: [0, 0, 0, 0])
    for place, (_, ran) in sorted(blocks.items(), key=lambda b: (b[0].split(":")[0], int((re.findall(r":(\d+)", b[0]) or [0])[0]))):
        name, _, line = place.partition(":")
        if not any(name.startswith(f + "/") for f in folders) or not line.isdigit():
            continue
        text = pathlib.Path(name).read_text().splitlines()
        here = " ".join(text[int(line) - 1:int(line)]).strip()
        is_error = bool(ERROR.search(here))
        row = sums[name]
        row[0] += 1
        row[1] += bool(ran)
        row[2] += is_error
        row[3] += is_error and bool(ran)
        if not ran:
            print(f"{name}:{line}: {here}")
    total = [sum(column) for column in zip(*sums.values())]
    for name, row in [*sorted(sums.items()), ("all", total)]:
        print(f"{name:32} {row[1]:4} of {row[0]:4} lines, {row[3]:4} of {row[2]:4} of error paths")


if __name__ == "__main__":
    main()
