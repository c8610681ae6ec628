# SPDX-License-Identifier: GPL-2.0-only
"""One live migration, and what three witnesses say of it: tern, QEMU, a clock."""

import collections
import tempfile
import time

from migration import Migration
from qmp import event_time

SAMPLE_SECONDS = 0.05
PATIENT_MS = 1  # no switchover while the guest writes
READY_MS = 10000  # switchover whatever is left
LEAVE_MS = 100000  # the same on a machine so slow that little bandwidth is measured


# The state during a migration. sent: bytes that tern has given.
Sample = collections.namedtuple("Sample", "time pending passes sent stamps")


class Move:
    """Moves a guest from one QEMU to another.

    It leaves once so many passes are complete: until then the downtime limit
    is too small for a switchover, so QEMU iterates. With its default it would
    take a small device at once, after the switchover. And the device claims that much
    is left: a fast machine may complete a pass before anything writes again, and with
    nothing left QEMU leaves whatever its limit. With no passes asked for it leaves as
    soon as QEMU likes.
    """

    def __init__(
        self,
        loop,
        source,
        bandwidth,
        passes=0,
        notice=None,
        interrupt=None,
        paused=False,
        uri=None,
        capabilities=(),
        downtime_ms=READY_MS,
        arrived=None,
        watched=None,
    ):
        """
        bandwidth: bytes a second; or such limits by the pass that they begin with
        passes: how many before the guest leaves
        notice: called with this after each sample
        interrupt: called with this when the passes are complete, before it leaves
        paused: the guest's vCPUs are stopped, and it must arrive so
        capabilities: more of QEMU's, by name
        downtime_ms: what it may take when it leaves
        arrived: called with the source's monitor once the guest has gone
        watched: the device whose passes and bytes count; None: the first one
        uri: where the destination is to listen; None: somewhere on this machine
        """
        self.source = source
        self.samples = []
        self._loop = loop
        self._bandwidth = bandwidth if isinstance(bandwidth, dict) else {0: bandwidth}
        self._least_passes = passes
        self._notice = notice
        self._interrupt = interrupt
        self._paused = paused
        self._uri = uri
        self._downtime_ms = downtime_ms
        self._arrived = arrived
        self._watched = watched or source.mdev
        self._capabilities = {name: name in capabilities for name in source.protocol.capabilities}

    def run(self, guest, destination):
        """Move to that QEMU, and see the one before off."""
        with tempfile.TemporaryDirectory() as folder:
            self._migrate(destination, guest, self._uri or f"unix:{folder}/socket")
        guest.vmm = destination
        self._see_off()

    def _migrate(self, destination, guest, uri):
        source = self.source
        self._migration = Migration(self._loop, source, destination, **self._capabilities)
        self._migration.listen(uri)
        bandwidths = sorted(self._bandwidth.items())
        limit = bandwidths.pop(0)[1]
        # It leaves when it likes, unless passes are asked for.
        downtime_ms = PATIENT_MS if self._least_passes else self._downtime_ms
        self._migration.limit(limit, downtime_ms)
        if self._least_passes:
            self._claim("huge")
        self.started = time.time()
        self._migration.begin(uri)
        end_of_samples = self._loop.every(SAMPLE_SECONDS, lambda: self._sample(guest))
        try:
            if self._least_passes:
                # Until then the counts are those of the session before.
                self._loop.until(self._saving, "a session")
                self.samples.clear()
            for number, limit in bandwidths:
                self._until_pass(number)
                self._migration.limit(limit, downtime_ms)
            if self._least_passes:
                # The pass after the last one has begun: the last one is complete.
                self._until_pass(self._least_passes + 1)
                if self._interrupt:
                    self._interrupt(self)
                self._claim("exact")
                patience = LEAVE_MS if self._downtime_ms == READY_MS else self._downtime_ms
                self._migration.limit(limit, patience)
            self._loop.until(self._migration.completed, "migration")
            if self._paused:
                self._loop.until(self._migration.arrived, "the guest")
            else:
                self._loop.until(self._migration.resumed, "the guest running")
        finally:
            end_of_samples()
            if self._least_passes and self._watched.exists():
                self._claim("exact")
        self._sample(guest)
        if self._arrived:
            self._arrived(source.qmp)
        if self._paused:
            self.downtime_ms = None
            return
        self.one_clock = source.mdev.host is destination.mdev.host
        self.stopped = event_time(source.qmp.last_event("STOP"))
        self.resumed = event_time(destination.qmp.event("RESUME"))
        self.downtime_ms = round((self.resumed - self.stopped) * 1000)

    def _sample(self, guest):
        mdev = self._watched
        sample = Sample(
            time=time.time(),
            pending=mdev.number("pending_bytes"),
            passes=mdev.number("passes"),
            sent=sum(mdev.numbers("pass_bytes")) + mdev.number("stopped_bytes"),
            stamps=guest.stamps,
        )
        self.samples.append(sample)
        if self._notice:
            self._notice(self)

    def accept(self, downtime_ms):
        """Let it be so long from now on."""
        self._migration.limit(self._bandwidth[0], downtime_ms)

    def _claim(self, size):
        """Have the device report its size so."""
        self._watched.write(self.source.protocol.claim, size, "inject")

    def _saving(self):
        return self._migration.completed() or self._watched.read("state") == "running-saving"

    def _until_pass(self, number):
        def begun():
            return self._migration.completed() or self.samples and self.samples[-1].passes >= number

        self._loop.until(begun, f"pass {number}")

    def _see_off(self):
        """The source and its device must be removed before the result is judged."""
        mdev = self._watched
        self.source.quit(self._loop)
        self.passes = mdev.number("passes")
        self.pass_bytes = mdev.numbers("pass_bytes")
        self.stopped_bytes = mdev.number("stopped_bytes")
        second = [self.source.second.mdev] if self.source.second else []
        self.late_marks = sum(each.number("late_marks") for each in [self.source.mdev, *second])
        self.source.mdev.remove()
        self.trace = self.source.traced()
