# SPDX-License-Identifier: GPL-2.0-only
"""A machine in which nothing runs but the BIOS: the device loads itself, and verifies."""

import re

from vmm import Verdict

PAGE = 4096
FOLDER = "workload"


class Unattended:
    """In place of a Guest: the workload of its device, wherever that is."""

    def __init__(self, loop):
        self.vmm = None
        self._loop = loop

    def feed(self, data):
        """A BIOS has nothing to say on this line."""

    @property
    def pages(self):
        return self.vmm.mdev.number("memory_mib") * (1 << 20) // PAGE

    @property
    def stamps(self):
        return int(self.vmm.mdev.read("writes", FOLDER))

    def stop(self):
        self.vmm.mdev.write("mibs", 0, FOLDER)

    def load(self, mibs, **others):
        """A workload from its beginning; others: attributes by name"""
        self.stop()
        for name, value in others.items():
            self.vmm.mdev.write(name, value, FOLDER)
        self.vmm.mdev.write("mibs", mibs, FOLDER)

    def goes_on(self):
        """Wait until it has written more than it had."""
        before = self.stamps
        self._loop.until_looked(lambda: self.stamps > before, "the device writing")

    def verify(self):
        first, *names = self.vmm.mdev.read("verify", FOLDER).splitlines()
        pages, stamps, bad = map(int, re.fullmatch(r"pages (\d+) written (\d+) bad (\d+)", first).groups())
        return Verdict(pages, stamps, bad, names, 0, 0)

    def spoil(self, page):
        """Invert a bit of it; give what verify() should call it."""
        self.vmm.mdev.write("spoil", page, FOLDER)
        return f"page {page} has a wrong CRC"
