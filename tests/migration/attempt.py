# SPDX-License-Identifier: GPL-2.0-only
"""A migration that must not arrive: it is cancelled, or cut, at a point."""

import collections
import tempfile
import time

from migration import Failed, Migration
from move import PATIENT_MS
from qmp import event_time
from vmm import ON_A_CLOSED_SOCKET
from wire import Wire

LOOK_SECONDS = 0.01
READY_MS = 300000  # whatever is left, and however slowly a watched wire carries it
TRICKLE = 1000  # bytes a second: a page or two are too much
TRIES = 5  # to cancel at once, and yet not before the device's session has begun
SECONDS_MAX = 60

# The state at a time: what QEMU reported last, and tern's attributes.
Moment = collections.namedtuple("Moment", "status state passes sent stopped_bytes pending")


class Point:
    """Where a migration is to end.

    reached: of a Moment, whether this is it; None: at once, QEMU gets the
        commands to migrate and to cancel in one write; if that came before the device
        logged, it gets the second one as soon as the device does
    passes: before so many there is nothing to look at closely
    switch_at: the pass with which QEMU may stop the guest; None: it may not
    trickle: so little flows that guest memory takes all of it
    cut: the destination is lost, instead of a cancel of the source
    """

    def __init__(self, name, reached, passes=0, switch_at=None, trickle=False, cut=False):
        self.name = name
        self.reached = reached
        self.passes = passes
        self.switch_at = switch_at
        self.trickle = trickle
        self.cut = cut


class Attempt:
    def __init__(self, loop, source, bandwidth, point):
        """bandwidth: limits in bytes a second, by the pass that they begin with"""
        self.moment = None
        self.sessions = []  # how many began, by QEMU's trace, in each try
        self._loop = loop
        self._source = source
        self._bandwidth = bandwidth
        self._point = point
        self._passes = 0

    def run(self, destination):
        """Begin to move to that QEMU, stop at the point, and see the QEMU off."""
        # Else QEMU hears of nothing from the stop to the end.
        pause = self._point.switch_at is not None and not self._point.cut
        between = self._loop, self._source, destination
        self._migration = Migration(*between, pause_before_switchover=pause)
        with tempfile.TemporaryDirectory() as folder:
            paths = f"{folder}/source", f"{folder}/destination"
            self._migration.listen(f"unix:{paths[1]}")
            wire = Wire(self._loop, *paths, self._look)
            if self._point.reached:
                self._begin(paths[0], wire)
                wire.hold()
                self._end(wire)
            else:
                for number in range(TRIES):
                    self._begin_and_end(paths[0], one_breath=number == 0)
                    if self.sessions[-1]:
                        break
        self.after = self._read()
        self.loaded = destination.mdev.read("state")
        destination.quit(self._loop)
        wire.close()
        destination.mdev.remove()

    def milliseconds(self):
        """From its beginning to its end, as QEMU's clock has it."""
        first, *_, last = [e for e in self._source.qmp.events if e["event"] == "MIGRATION"]
        return (event_time(last) - event_time(first)) * 1000

    def _begin(self, path, wire):
        self._limit(0, PATIENT_MS)
        self._migration.begin(f"unix:{path}")
        wire.accept()
        end_of_looks = self._loop.every(LOOK_SECONDS, self._look)
        steps = [(number, PATIENT_MS) for number in sorted(self._bandwidth)[1:]]
        if self._point.switch_at is not None:
            steps = [step for step in steps if step[0] < self._point.switch_at]
            steps.append((self._point.switch_at, READY_MS))
        try:
            for number, downtime_ms in steps:
                self._loop.until(lambda: self.moment or self._passes >= number, f"pass {number}")
                if self.moment:
                    break
                self._limit(number, downtime_ms)
            self._loop.until(lambda: self.moment, self._point.name)
        finally:
            end_of_looks()

    def _end(self, wire):
        self._source.excuse(*ON_A_CLOSED_SOCKET)
        if self._point.cut:
            wire.cut()
            self._loop.until(lambda: self._migration.reported("failed"), "its failure")
        else:
            self._migration.cancel()

    def _begin_and_end(self, path, one_breath):
        before = self._source.traced().sessions
        uri = f"unix:{path}"
        self._source.excuse(*ON_A_CLOSED_SOCKET)
        if one_breath:
            self._migration.cancel(uri)
        else:
            # So slowly that the device's first byte does not come before the cancel.
            self._migration.limit(TRICKLE, PATIENT_MS, exact=True)
            self._migration.begin(uri)
            end = time.monotonic() + SECONDS_MAX
            while self._source.mdev.read("state") == "running" and time.monotonic() < end:
                pass
            self._migration.cancel()
        self.sessions.append(self._source.traced().sessions - before)
        self.moment = self._read()._replace(status=self._source.qmp.status_when_cancelled())

    def _limit(self, number, downtime_ms):
        step = max(key for key in self._bandwidth if key <= number)
        bandwidth = TRICKLE if self._point.trickle else self._bandwidth[step]
        self._migration.limit(bandwidth, downtime_ms, exact=self._point.trickle)

    def _look(self):
        """Is this the point? Looked at in each piece, it cannot be missed."""
        # The counts of the session before stay until the next one begins.
        if self.moment or self._source.mdev.read("state") == "running":
            return
        self._passes = self._source.mdev.number("passes")
        if self._passes < self._point.passes:
            return
        now = self._read()
        if now.status in ("failed", "completed"):
            raise Failed(f"{now.status} and not yet {self._point.name}: {now}")
        if self._point.reached(now):
            self.moment = now

    def _read(self):
        mdev = self._source.mdev
        return Moment(
            status=self._source.qmp.migration_status(),
            state=mdev.read("state"),
            passes=mdev.number("passes"),
            sent=mdev.numbers("pass_bytes"),
            stopped_bytes=mdev.number("stopped_bytes"),
            pending=mdev.number("pending_bytes"),
        )
