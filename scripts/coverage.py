#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Which lines of src/ did a run reach? Written from a module built with COVERAGE=1.

    coverage.py MODULE HITS    compare, and fail if a line is missing without a reason
    coverage.py --check        the entries of tests/coverage/unreached match the tree

MODULE is tern.ko; HITS what the parameter "coverage" of tern_trace.ko gave, over the whole
run. Prints the lines of src/ whose blocks did not run, and the sums per file: all lines,
and those of error paths. A line that did not run needs an entry in tests/coverage/unreached,
with the reason.

A line is of an error path if it returns an errno, follows a label err_*, or is in the body
of an "if" that ends with such a return or goto.

The compiler calls __sanitizer_cov_trace_pc() at the head of each block. The code model of
User Mode Linux calls by a register: which one holds that address is followed through the
disassembly. A hit elsewhere is of a function that is nothing but such a call, and that
jumps there: it counts as a block of its caller's.
"""

import collections
import functools
import pathlib
import re
import subprocess
import sys

TRACE = "__sanitizer_cov_trace_pc"
INSN = re.compile(r"^ *([0-9a-f]+):\t(\S+) *(.*)$")
RELOC = re.compile(r"^\t\t\t([0-9a-f]+): R_X86_64_\w+\t(\S+)")
ERROR = re.compile(r"return -E|return ret\b|ERR_PTR\(|goto err|return NULL;|"
                   r"return [\w>.-]+ \? (used|-E)|ret = -E[A-Z]+;|return TERN_DMA_ERROR|VM_FAULT_SIGBUS")
UNREACHED = pathlib.Path("tests/coverage/unreached")


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


# Functions that the kernel's macros make of the definitions of tracepoints.
EXPANDED = ("src/lab/trace.c", "src/lab/trace.h")


def places(module, addresses):
    """(file, line) of each address, of the outermost caller that is ours; or None."""
    asked = "\n".join(hex(a) for a in addresses)
    text = run("addr2line", "-e", module, "-j", ".text", input=asked)
    for line in text.splitlines():
        match = re.match(r"^.*/(src/[^:]+):(\d+)", line)
        yield (match[1], int(match[2])) if match and match[1] not in EXPANDED else None


@functools.cache
def source(name):
    """The lines of a file, from 1."""
    return ["", *(line.strip("\n") for line in pathlib.Path(name).read_text().splitlines())]


def function_of(name, line):
    """The name of the function that a line is in, and its first line."""
    text = source(name)
    while line and not text[line].startswith("{"):
        line -= 1
    while line and not re.match(r"^[a-zA-Z]", text[line]):
        line -= 1
    match = re.search(r"(\w+)\(", text[line])
    return (match[1] if match else "-"), line


def is_error(name, line):
    text = source(name)
    if ERROR.search(text[line]):
        return True
    for at in range(line, function_of(name, line)[1], -1):
        if re.match(r"^err\w*:", text[at]):
            return True
    # The rest of the body that the line is in.
    indent = len(text[line]) - len(text[line].lstrip("\t"))
    for after in text[line + 1:]:
        depth = len(after) - len(after.lstrip("\t"))
        if not after.strip() or depth < indent:
            return False
        if indent > 1 and depth == indent and ERROR.search(after):
            return True
    return False


Entry = collections.namedtuple("Entry", "file function line occurrence")


def entry_of(name, line):
    """What finds a line again when others have changed."""
    text = source(name)
    function, first = function_of(name, line)
    same = [n for n in range(first, line + 1) if text[n].strip() == text[line].strip()]
    return Entry(name, function, text[line].strip(), len(same))


def read_unreached():
    """Entry: reason."""
    found = {}
    for part in UNREACHED.read_text().split("\n\n"):
        lines = [line for line in part.splitlines() if line and not line.startswith("#")]
        if not lines:
            continue
        fields = dict(line.split(": ", 1) for line in lines)
        entry = Entry(fields["file"], fields["function"], fields["line"],
                      int(fields.get("occurrence", 1)))
        found[entry] = fields["reason"]
    return found


def check():
    bad = 0
    for entry in read_unreached():
        try:
            there = any(entry_of(entry.file, n) == entry for n in range(1, len(source(entry.file))))
        except FileNotFoundError:
            there = False
        if not there:
            print(f"{UNREACHED}: {entry.file} has no such line in {entry.function}(): {entry.line}")
            bad = 1
    return bad


def main():
    if sys.argv[1:] == ["--check"]:
        return check()
    module, hits_file = sys.argv[1:]
    base, found, end = sites(module)
    hits = {base + int(hit) for hit in re.findall(r"^-?\d+$", pathlib.Path(hits_file).read_text(),
                                                  re.MULTILINE)}
    # What lies behind is of other sections: init, exit, and what is unlikely.
    hits = {h for h in hits if h <= end}
    ordered = sorted(found | hits)
    lines = collections.Counter()
    for address, place in zip(ordered, places(module, [a - 1 for a in ordered])):
        if place:
            lines[place] += address in hits
    known, bad, used = read_unreached(), check(), 0
    sums = collections.defaultdict(lambda: [0, 0, 0, 0])
    for (name, line), ran in sorted(lines.items()):
        error = is_error(name, line)
        row = sums[name]
        row[0] += 1
        row[1] += bool(ran)
        row[2] += error
        row[3] += error and bool(ran)
        if ran:
            continue
        entry = entry_of(name, line)
        reason = known.get(entry)
        used += reason is not None
        bad |= reason is None
        print(f"{name}:{line}: {entry.function}(): {entry.line}"
              f"{' [error path]' if error else ''}\n    {reason or 'NO REASON in ' + str(UNREACHED)}")
    total = [sum(column) for column in zip(*sums.values())]
    for name, row in [*sorted(sums.items()), ("all", total)]:
        print(f"{name:32} {row[1]:4} of {row[0]:4} lines, {row[3]:4} of {row[2]:4} of error paths")
    print(f"src: {total[0] - total[1]} lines not reached on User Mode Linux, "
          f"{used} of them with a reason: {'fail' if bad else 'pass'}")
    return bad


if __name__ == "__main__":
    sys.exit(main())
