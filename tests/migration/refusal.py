# SPDX-License-Identifier: GPL-2.0-only
"""A migration that the destination refuses, or that is lost on its way."""

import tempfile

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
        qmp = self._source.qmp
        destination.may_fail()
        for vmm in self._source, destination:
            vmm.qmp.set_capabilities(
                events=True, return_path=self._return_path, pause_before_switchover=False
            )
        limits = {"max-bandwidth": self._bandwidth, "downtime-limit": DOWNTIME_MS}
        qmp.command("migrate-set-parameters", **limits)
        self._source.excuse(*ON_A_CLOSED_SOCKET)
        if self._return_path:
            self._source.excuse(REFUSED)
        with tempfile.TemporaryDirectory() as folder:
            paths = f"{folder}/source", f"{folder}/destination"
            destination.qmp.command("migrate-incoming", uri=f"unix:{paths[1]}")
            wire = Wire(self._loop, *paths, tamper=self._tamper)
            qmp.events.clear()
            qmp.command("migrate", uri=f"unix:{paths[0]}")
            wire.accept()
            self._loop.until(self._ended, f"the end of a migration: {self._tamper}")
            if self._tamper:
                wire.deliver(self._tamper.kept)
            wire.close()
        self.completed = bool(qmp.event("MIGRATION", status="completed"))
        self.status, self.said = destination.wait_for_exit()
        assert not destination.qmp.event("RESUME"), f"{self._tamper}: the destination ran"
        destination.mdev.remove()

    def _ended(self):
        qmp = self._source.qmp
        return any(qmp.event("MIGRATION", status=status) for status in ("failed", "completed"))
