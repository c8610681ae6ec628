# SPDX-License-Identifier: GPL-2.0-only
"""A migration that the destination refuses, or that is lost on its way."""

import tempfile

from migration import Migration
from vmm import ON_A_CLOSED_SOCKET
from wire import Wire

# What a source hears by the return path, if there is time to say it before the end.
REFUSED = r"qemu-system-x86_64: Sibling indicated error 1"
DOWNTIME_MS = 10000  # the guest may leave whatever is left: all of the stream flows


class Refusal:
    def __init__(self, loop, source, bandwidth, tamper=None, return_path=True):
        """
        tamper: what is done to the stream, or None: it is refused as it is
        return_path: whether the source waits to hear how it went
        """
        self._loop = loop
        self._source = source
        self._bandwidth = bandwidth
        self._tamper = tamper
        self._return_path = return_path

    def run(self, destination):
        """Begin, see the destination end and the source go on."""
        destination.may_fail()
        migration = Migration(self._loop, self._source, destination, return_path=self._return_path)
        migration.limit(self._bandwidth, DOWNTIME_MS)
        self._source.excuse(*ON_A_CLOSED_SOCKET)
        if self._return_path:
            self._source.excuse(REFUSED)
        with tempfile.TemporaryDirectory() as folder:
            paths = f"{folder}/source", f"{folder}/destination"
            migration.listen(f"unix:{paths[1]}")
            wire = Wire(self._loop, *paths, tamper=self._tamper)
            migration.begin(f"unix:{paths[0]}")
            wire.accept()
            self._loop.until(lambda: migration.reported("failed", "completed"), str(self._tamper))
            if self._tamper:
                wire.deliver(self._tamper.kept)
            wire.close()
        self.completed = migration.reported("completed")
        self.status, self.output = destination.wait_for_exit()
        assert not migration.resumed(), f"{self._tamper}: the destination ran"
        destination.mdev.remove()
