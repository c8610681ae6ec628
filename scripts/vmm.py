#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Put what QEMUs did in each situation into Documentation/vmm.rst.

    vmm.py [--write] TAP...

A TAP has lines "# situation {...}" of tests/migration/situations.py. What the page has
between its two marks is the table and the messages of all of them. Without --write the page
is compared: it fails if a QEMU did something else than the page says.
"""

import json
import pathlib
import sys

PAGE = pathlib.Path("Documentation/vmm.rst")
BEGIN, END = ".. The runs begin here.\n", ".. The runs end here.\n"
LINE = "# situation "


def read(paths):
    """Outcome by situation and QEMU, both in the order of the runs."""
    found, qemus = {}, []
    for path in paths:
        for line in pathlib.Path(path).read_text().splitlines():
            if not line.startswith(LINE):
                continue
            run = json.loads(line[len(LINE) :])
            found.setdefault(run["title"], {})[run["qemu"]] = run
            if run["qemu"] not in qemus:
                qemus.append(run["qemu"])
    return found, qemus


def table(found, qemus):
    rows = [["", *(f"QEMU {qemu}" for qemu in qemus)]]
    for title, runs in found.items():
        cells = [runs[qemu]["outcome"] if qemu in runs else "\\" for qemu in qemus]
        rows.append([title, *cells])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = " ".join("=" * width for width in widths)
    lines = [" ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    lines[0] = "situation".ljust(widths[0]) + lines[0][widths[0] :]
    return [rule, lines[0], rule, *lines[1:], rule]


def first_of_each_side(printed):
    """What follows is mostly the end of what it began."""
    first = {}
    for line in printed:
        side, _, message = line.partition(": ")
        first.setdefault(side, f"{side}: {message.removeprefix('qemu-system-x86_64: ')}")
    return first.values()


def messages(found, qemus):
    lines = []
    for title, runs in found.items():
        printed = {qemu: runs[qemu]["printed"] for qemu in qemus if qemu in runs and runs[qemu]["printed"]}
        if not printed:
            continue
        lines += [f"{title}::", ""]
        for qemu, text in printed.items():
            lines += [f"    {qemu} {each}" for each in first_of_each_side(text)]
        lines.append("")
    return lines


def main():
    write = sys.argv[1:2] == ["--write"]
    found, qemus = read(sys.argv[1 + write :])
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    runs = [*table(found, qemus), "", "Messages", "--------", "", *messages(found, qemus)]
    text = before + BEGIN + "\n" + "\n".join(runs) + "\n" + END + after
    if write:
        PAGE.write_text(text)
        return 0
    # Messages have names of devices in them that depend on the machine.
    missing = [line for line in table(found, qemus)[3:-1] if line not in page]
    print("1..1")
    for line in missing:
        print(f"# not in {PAGE}: {line}")
    print(f"{'not ok' if missing else 'ok'} - {PAGE} says what the QEMUs did")
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main())
