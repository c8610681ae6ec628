#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Which jobs of User Mode Linux run a line of src/: a change of it needs no others.

The module is built with a call at the head of each block (tests/coverage), and a job's hits
are the calls that it made. An instruction belongs to the block whose call is the last one
before it. So a line is run by the jobs that hit a block of one of its instructions.

The compiler moves instructions out of their blocks, so that is a guess. It is right in most
cases and cheap; what survives it is given to the other jobs that run the function.
"""

import bisect
import collections
import re

import coverage

LINE = re.compile(r"^(/\S+):(\d+)")


def instructions(module):
    """(address, file, line) of each instruction of ours in .text."""
    where = None
    for line in coverage.run("objdump", "-dl", "--no-show-raw-insn", "-j", ".text",
                             module).splitlines():
        if match := LINE.match(line):
            name = re.match(r".*/(src/.*)", match[1])
            where = (name[1], int(match[2])) if name else None
        elif where and (match := coverage.INSN.match(line)):
            yield int(match[1], 16), *where


class Reach:
    """Built from a traced module and the hits of its jobs: {job: offsets}."""

    def __init__(self, module, hits):
        self.folder = module.parent
        base, found, end = coverage.sites(module)
        # What lies behind is of other sections. A hit elsewhere is a block, too.
        blocks = {job: {base + hit for hit in offsets if base + hit <= end}
                  for job, offsets in hits.items()}
        heads = sorted(found.union(*blocks.values()))
        jobs = collections.defaultdict(set)
        for job, reached in blocks.items():
            for head in reached:
                jobs[head].add(job)
        self.lines = collections.defaultdict(set)
        for address, name, line in instructions(module):
            at = bisect.bisect_right(heads, address) - 1
            if at >= 0:
                self.lines[name, line] |= jobs[heads[at]]

    def jobs(self, place, known):
        """Those of @known that run a line of @place; all of them if it has no code there.

        All of them run what the load of the module runs, and its unload.
        """
        reached = set()
        for line in range(place.line, place.line + place.original.count("\n") + 1):
            if (place.path, line) not in self.lines:
                return known
            reached |= self.lines[place.path, line]
        return known if "load" in reached else [job for job in known if job in reached]

    def others(self, place, known):
        """Those of @known that jobs() leaves out, and that run the function of @place."""
        text = (self.folder / place.path).read_text("latin-1")
        # A function begins and ends with a brace in the first column.
        first = text.count("\n", 0, text.rfind("\n{\n", 0, place.start)) + 1
        last = text.count("\n", 0, text.find("\n}\n", place.start)) + 2
        reached = set().union(*(self.lines.get((place.path, line), ())
                                for line in range(first, last + 1)))
        if "load" in reached:
            reached.update(known)
        left = reached.difference(self.jobs(place, known))
        return [job for job in known if job in left]
