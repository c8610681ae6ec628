# SPDX-License-Identifier: GPL-2.0-only
"""A migration in which one side is killed."""

import tempfile
import time

from vmm import ON_A_CLOSED_SOCKET

DOWNTIME_MS = 300


class Killed:
    """
    outcome: where the guest is after it: "stays", "arrived", or "lost"
    seconds: how long it had gone on
    state: the source's device's, just before
    """

    def __init__(self, loop, guest, bandwidth):
        self._loop = loop
        self._guest = guest
        self._bandwidth = bandwidth

    def run(self, destination, victim, after):
        """Begin, kill the victim ("source" or "destination") so many seconds later."""
        source = self._guest.vmm
        source.excuse(*ON_A_CLOSED_SOCKET)
        for vmm in source, destination:
            vmm.qmp.set_capabilities(events=True, return_path=True, pause_before_switchover=False)
        limits = {"max-bandwidth": self._bandwidth, "downtime-limit": DOWNTIME_MS}
        source.qmp.command("migrate-set-parameters", **limits)
        with tempfile.TemporaryDirectory() as folder:
            uri = f"unix:{folder}/socket"
            destination.qmp.command("migrate-incoming", uri=uri)
            source.qmp.events.clear()
            source.qmp.command("migrate", uri=uri)
            self._loop.until(lambda: self._said(destination, "active"), "the connection")
            begun = time.monotonic()
            self._loop.until_looked(
                lambda: time.monotonic() > begun + after or self._said(source, "completed"),
                "the moment",
            )
            self.seconds = time.monotonic() - begun
            self.state = source.mdev.read("state")
            if self._said(source, "completed"):
                # Too late to kill: it has arrived.
                self._arrive(source, destination)
            elif victim == "destination":
                destination.kill()
                self._loop.until(
                    lambda: self._said(source, "failed") or self._said(source, "completed"),
                    "the source's end of it",
                )
                if self._said(source, "completed"):
                    # It had sent all, and the other is gone.
                    source.until_status("postmigrate")
                    source.qmp.command("cont")
                source.until_status("running")
                self.outcome = "stays"
                destination.mdev.remove()
            else:
                destination.may_fail()
                source.kill()
                source.mdev.remove()
                self._loop.until_looked(
                    lambda: destination.status is not None or destination.qmp.event("RESUME"),
                    "the destination",
                )
                if destination.status is None:
                    self._guest.vmm = destination
                    self.outcome = "arrived"
                else:
                    destination.mdev.remove()
                    self.outcome = "lost"

    def _arrive(self, source, destination):
        self._loop.until(lambda: destination.qmp.event("RESUME"), "the guest going on")
        self._guest.vmm = destination
        source.quit(self._loop)
        source.mdev.remove()
        self.outcome = "arrived"

    @staticmethod
    def _said(vmm, status):
        return vmm.qmp.event("MIGRATION", status=status)
