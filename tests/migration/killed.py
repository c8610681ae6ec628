# SPDX-License-Identifier: GPL-2.0-only
"""A migration in which one side is killed."""

import tempfile
import time

from migration import Migration
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
        migration = Migration(self._loop, source, destination)
        migration.limit(self._bandwidth, DOWNTIME_MS)
        with tempfile.TemporaryDirectory() as folder:
            uri = f"unix:{folder}/socket"
            migration.listen(uri)
            migration.begin(uri)
            self._loop.until(lambda: migration.arrived("active"), "the connection")
            begun = time.monotonic()
            self._loop.until_looked(
                lambda: time.monotonic() > begun + after or migration.reported("completed"),
                "the moment",
            )
            self.seconds = time.monotonic() - begun
            self.state = source.mdev.read("state")
            if migration.reported("completed"):
                # Too late to kill: it has arrived.
                self._arrive(source, destination, migration)
            elif victim == "destination":
                destination.kill()
                self._loop.until(lambda: migration.reported("failed", "completed"), "its end")
                if migration.reported("completed"):
                    # It had sent all, and the destination has exited.
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
                    lambda: destination.status is not None or migration.resumed(),
                    "the destination",
                )
                if destination.status is None:
                    self._guest.vmm = destination
                    self.outcome = "arrived"
                else:
                    destination.mdev.remove()
                    self.outcome = "lost"

    def _arrive(self, source, destination, migration):
        self._loop.until(migration.resumed, "the guest going on")
        self._guest.vmm = destination
        source.quit(self._loop)
        source.mdev.remove()
        self.outcome = "arrived"
