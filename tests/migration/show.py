#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The demo's part outside the VM: makes what demo.py says readable.

Reads its lines from standard input. At their end it judges the result, draws
pending over time, and says so with its exit status.
"""

import argparse
import json
import os
import pathlib
import selectors
import shutil
import subprocess
import sys
import time

MIB = 1 << 20
FIRST = {"stage": "starting", "text": "a virtual machine boots"}

TTY = sys.stdout.isatty()
COLOUR = TTY and not os.environ.get("NO_COLOR")


def mib(size):
    return f"{size / MIB:.1f} MiB"


def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


class Progress:
    """One line per stage: updated in place on a terminal, else printed every few seconds."""

    PLAIN_SECONDS = 2  # between two plain lines of one stage

    def __init__(self):
        self._start = time.monotonic()
        self._stage = None
        self._text = None
        self._printed = 0

    def show(self, stage, text):
        now = time.monotonic()
        line = f"{now - self._start:5.0f} s  {text}"
        if TTY:
            new_line = "\n" if self._stage not in (None, stage) else ""
            width = shutil.get_terminal_size().columns - 1
            print(f"{new_line}\r\033[K{line[:width]}", end="", flush=True)
        elif stage != self._stage or (
            text != self._text and now - self._printed >= self.PLAIN_SECONDS
        ):
            print(line, flush=True)
            self._printed = now
            self._text = text
        self._stage = stage

    def end(self):
        if TTY and self._stage:
            print()


def describe(message):
    if message["stage"] != "migrating":
        return message["text"]
    return (
        f"pass {message['passes']:2}  pending {mib(message['pending']):>9}"
        f"  sent {mib(message['rate']):>8}/s  dirtied {mib(message['dirty_rate']):>8}/s"
    )


def follow():
    """Show the lines until there are no more."""
    progress = Progress()
    message = FIRST
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    tail = b""
    progress.show(message["stage"], describe(message))
    while True:
        if not selector.select(0.5):
            progress.show(message["stage"], describe(message))
            continue
        data = os.read(sys.stdin.fileno(), 65536)
        if not data:
            break
        *lines, tail = (tail + data).split(b"\n")
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError:
                # Not for us: something went wrong, and says so.
                progress.end()
                print(line.decode(errors="replace"), flush=True)
                continue
            progress.show(message["stage"], describe(message))
    progress.end()


def shares(sizes, limit=9):
    """MiB of each pass; what does not fit into a line, as a count."""
    text = " ".join(f"{size / MIB:.1f}" for size in sizes[:limit])
    return text + (f" and {len(sizes) - limit} more" if len(sizes) > limit else "")


def judge(result):
    """Print the verdict; give whether it is good."""
    sent = [sum(result["pass_bytes"]), result["stopped_bytes"]]
    writer = "device" if result["guest"] == "none" else "guest"
    checks = {
        "no page is lost, stale, doubled or torn": not result["bad"],
        "every page was checked": result["verified"] == result["pages"],
        f"the {writer} wrote during the migration": result["stamps_meanwhile"] > 0,
        "QEMU and tern count the same bytes": result["trace"] == sent,
        "corrupted pages are found": result["found"] == result["spoiled"],
        "no QEMU printed a message": not result["complaints"],
        "no process or device is left behind": not result["left"],
    }
    good = all(checks.values())
    print()
    if good:
        print(paint("1;32", f"The {writer} migrated while it wrote, and no page was lost."))
    else:
        print(paint("1;31", "This migration failed:"))
        for check, passed in checks.items():
            if not passed:
                print(f"  not true: {check}")
        for line in result["bad_names"] + result["complaints"] + result["left"]:
            print(f"  {line}")
    rows = {
        "memory": f"{result['memory_mib']} MiB: {result['pages']} pages, "
        f"{result['filled']} written",
        "load": f"{result['stamps_meanwhile']} pages rewritten during the migration, "
        f"a working set of {result['working_set']}",
        "passes": f"{result['passes']} in {result['stopped']:.1f} s while the {writer} ran",
        "MiB per pass": shares(result["pass_bytes"]),
        "stopped": f"{mib(result['stopped_bytes'])} after the vCPUs stopped",
        "downtime": f"{result['downtime_ms']} ms, from the source's stop to the "
        "destination's start",
        "counted": f"{result['trace'][0]} + {result['trace'][1]} bytes by QEMU's trace, "
        f"{sent[0]} + {sent[1]} by tern",
        "verified": f"{result['verified']} pages against the expected contents, "
        f"source and device removed: {result['bad']} bad",
        "cross-check": f"{result['spoiled']} pages corrupted on purpose: "
        f"{result['found']} found and named",
    }
    for name, text in rows.items():
        print(f"  {paint('1', f'{name:13}')}{text}")
    print()
    return good


PLOT = """
set key off
set xlabel "seconds"
set ylabel "pending, MiB"
set xrange [0:{end}]
set yrange [0:*]
set arrow from {stopped}, graph 0 to {stopped}, graph 1 nohead
set label "switchover " at {stopped}, graph 0.92 right
"""

SVG = """
set terminal svg size 800,400 background "white"
set output "{svg}"
set title "Device memory that the destination lacks, during the migration"
set grid
set object rectangle from {stopped}, graph 0 to {resumed}, graph 1 fc rgb "#e74c3c" fs noborder
set label "guest stopped for {downtime_ms} ms " at {stopped}, graph 0.85 right
plot "{data}" using 1:2 with filledcurves x1 fc rgb "#aed6f1", \\
	"" using 1:2 with lines lw 2 lc rgb "#2471a3"
"""

TERMINAL = """
set terminal dumb size {columns},20 {mode}
unset ylabel
set title "MiB pending"
plot "{data}" using 1:2 with lines
"""


def draw(result, folder):
    """Pending over time: in the terminal, and as SVG. Gives the SVG's path."""
    data, svg = folder / "pending.dat", folder / "pending.svg"
    with open(data, "w", encoding="ascii") as file:
        print("# seconds, MiB pending, pass", file=file)
        for seconds, pending, passes in result["samples"]:
            print(seconds, pending / MIB, passes, file=file)
    names = {
        **result,
        "end": result["resumed"] * 1.05,
        "data": data,
        "svg": svg,
        "columns": min(shutil.get_terminal_size((79, 24)).columns, 100),
        "mode": "ansi" if COLOUR else "mono",
    }
    for terminal in SVG, TERMINAL:
        script = (PLOT + terminal).format(**names)
        subprocess.run(["gnuplot"], input=script, text=True, check=True)
    return svg


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--result", required=True, help="what demo.py found")
    parser.add_argument("--out", required=True, help="folder for the plots")
    args = parser.parse_args()
    follow()
    path = pathlib.Path(args.result)
    if not path.exists():
        print("demo: the migration did not complete", file=sys.stderr)
        return 1
    result = json.loads(path.read_text(encoding="ascii"))
    good = judge(result)
    svg = draw(result, pathlib.Path(args.out))
    print(f"The same as a picture: {svg}")
    return 0 if good else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print()
        sys.exit(130)
