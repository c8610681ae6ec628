# SPDX-License-Identifier: GPL-2.0-only
"""Stores that reach a device's memory after its stop, as this machine's kernel sees them."""

import pathlib
import re

TRACING = pathlib.Path("/sys/kernel/tracing")
EVENTS = TRACING / "events" / "late"
PROBES = TRACING / "kprobe_events"
BUFFER_KIB = 16384  # what the destination's guest marks may not push out what is looked for
# A tracker is frozen when its device is stopped, and marks the first store to a page.
STOP = "p:late/stop tern_dirty_freeze tracker=$arg1"
MARK = "p:late/mark tern_dirty_mark tracker=$arg1 pages=$arg3:u64"
LINE = re.compile(r".*: (stop|mark): \(.*\) tracker=(0x[0-9a-f]+)(?: pages=(\d+))?$")


class LateStores:
    """
    pages: how many were stored to after their device's stop, and had been taken before
    """

    def __enter__(self):
        (TRACING / "buffer_size_kb").write_text(str(BUFFER_KIB))
        PROBES.write_text(f"{STOP}\n{MARK}\n")
        (TRACING / "trace").write_text("")
        (EVENTS / "enable").write_text("1")
        return self

    def __exit__(self, *_):
        (EVENTS / "enable").write_text("0")
        self.pages = self._count((TRACING / "trace").read_text())
        PROBES.write_text("")

    @staticmethod
    def _count(trace):
        stopped, pages = set(), 0
        for line in trace.splitlines():
            if not (match := LINE.match(line)):
                continue
            if match[1] == "stop":
                stopped.add(match[2])
            elif match[2] in stopped:
                pages += int(match[3])
        assert stopped, "no device was stopped"
        return pages
