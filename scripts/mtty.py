#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What mtty fails, from the output of v2_test and of the kernels.

    mtty.py [--write] RESULTS PAGE

RESULTS has a folder a test, with tap, and with console and dmesg of its kernel. Prints
the tables, and holds them against those of PAGE, or writes them there.
"""

import difflib
import itertools
import pathlib
import re
import sys
import textwrap

BEGIN, END = ".. the tables of scripts/check-mtty.sh", ".. end of the tables"

TITLES = {
    "uapi": "Required by ``uapi/linux/vfio.h``",
    "beyond": "Required by VMMs or by Tern's rules",
}

# The words of scripts/complaints.sh, as one expression.
COMPLAINTS = re.search(
    r"complaints='(.*)'\n((?:complaints\+='.*'\n)*)", pathlib.Path("scripts/complaints.sh").read_text())
COMPLAINTS = re.compile(COMPLAINTS[1] + "".join(re.findall(r"\+='(.*)'", COMPLAINTS[2])))


def kernel(log):
    """What the kernel's log complains of, in words that are the same in each run."""
    inside = re.search(r"(mtty_\w+)\+0x\S+ \[mtty\]", log)
    if found := re.search(r"BUG: KASAN: (\S+) in (\w+)", log):
        return f"KASAN: {found[1]} in {found[2]}()"
    if "Kernel mode fault" in log and inside:
        return f"the kernel faults in {inside[1]}()"
    if found := COMPLAINTS.search(log):
        return f"the kernel complains: {found[0]}"
    return None


class Test:
    def __init__(self, fixture, name, results):
        self.fixture, self.name = fixture, name
        folder = results / f"{fixture}.{name}"
        text = (folder / "tap").read_text(errors="replace")
        said = re.findall(rf"^# v2_test\.c:\d+:{name}:(.*)$", text, re.MULTILINE)
        self.asked = next((line[len("asks: "):] for line in said if line.startswith("asks: ")), None)
        now = [line[len("now: "):] for line in said if line.startswith("now: ")]
        told = [line for line in said if not line.startswith(("asks: ", "now: "))]
        # The macros' own words only where a test has none.
        told = [line for line in told if not line.startswith("Expected ")] or told
        self.result = re.search(rf"^(ok|not ok) 1 {fixture}\.{name}( # SKIP.*)?$", text, re.MULTILINE)
        logs = (folder / log for log in ("console", "dmesg"))
        complaint = kernel("".join(log.read_text(errors="replace") for log in logs if log.exists()))
        self.did = list(dict.fromkeys(told)) if self.failed else []
        if complaint:
            self.did += ([] if self.result else now[-1:]) + [complaint]
        assert self.result or complaint, f"{folder}: no result of the test, and no complaint of the kernel"
        assert self.asked or self.skipped, f"{folder}: the test does not say what it asks"

    @property
    def failed(self):
        return not self.result or self.result[1] == "not ok"

    @property
    def skipped(self):
        return bool(self.result and self.result[2])

    @property
    def numbers(self):
        return " ".join(re.sub(r"(V2)_|(P)", r"\1\2-", n) for n in re.findall(r"V2_\d+|P\d+", self.name))


def table(rows):
    """A simple table of reStructuredText, which a terminal shows as well."""
    # A row begins where its first cell has something, so that one is not wrapped.
    widths = max(len(row[0]) for row in rows), 32, 42
    rule = " ".join("=" * width for width in widths)
    yield rule
    for at, row in enumerate(rows):
        cells = [textwrap.wrap(cell, width, break_on_hyphens=False) for cell, width in zip(row, widths)]
        for line in itertools.zip_longest(*cells, fillvalue=""):
            yield " ".join(part.ljust(width) for part, width in zip(line, widths)).rstrip()
        if not at:
            yield rule
    yield rule


def tables(tests):
    for fixture, title in TITLES.items():
        mine = [test for test in tests if test.fixture == fixture]
        bad = [test for test in mine if test.did or test.failed]
        yield from (title, "=" * len(title), "")
        yield from (f"{len(bad)} of {len(mine)} tests fail.", "")
        yield from table([("number", "required", "mtty")] + [(t.numbers, t.asked, "; ".join(t.did)) for t in bad])
        for test in mine:
            if test.skipped:
                yield from ("", f"Not tested: {test.numbers}, {test.result[2].removeprefix(' # SKIP ')}.")
        yield ""


def main():
    results, page = map(pathlib.Path, sys.argv[-2:])
    order = re.findall(r"^TEST_F\((\w+), (\w+)\)$", pathlib.Path("tests/selftests/v2_test.c").read_text(), re.MULTILINE)
    tests = [Test(fixture, name, results) for fixture, name in order]
    new = "\n".join(tables(tests))
    print(new)
    text = page.read_text()
    head, rest = text.split(BEGIN + "\n\n")
    old, tail = rest.split(END)
    if "--write" in sys.argv:
        page.write_text(f"{head}{BEGIN}\n\n{new}\n{END}{tail}")
        old = new + "\n"
    same = old == new + "\n"
    if not same:
        print(*difflib.unified_diff(old.splitlines(), new.splitlines(), str(page), "this run", lineterm=""), sep="\n")
    print("1..1")
    print(f"{'ok' if same else 'not ok'} - mtty fails what {page} says, and no more")
    print(f"{int(same)} passed, {int(not same)} failed, 0 skipped")
    return not same


if __name__ == "__main__":
    sys.exit(main())
