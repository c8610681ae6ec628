# SPDX-License-Identifier: GPL-2.0-only
"""Migrations that end at a point on their way, and the whole one after each."""

from attempt import Point
from checks import check_bytes, check_goes_on, check_load, check_pages, equal
from usual import BANDWIDTH, LOAD, MEMORY, MIB, RAM_MIB, SNAPSHOT, most


def precopy(now):
    return now.status == "active" and now.state == "running-saving"


def in_pass(number):
    return lambda now: precopy(now) and now.passes == number and now.pending


def waiting(now):
    """The guest is stopped, and the switchover waits for leave."""
    stopped = now.status == "pre-switchover" and now.state == "stopped-saving"
    return stopped and now.pending and not now.stopped_bytes


def points(protocol):
    """Where to cancel, in the order of a migration."""
    return [
        Point("at once", None),
        Point(
            "before the device's first byte",
            lambda now: precopy(now) and not now.passes and now.pending > SNAPSHOT,
            trickle=True,
        ),
        Point(
            "at the snapshot's first chunk",
            lambda now: in_pass(1)(now) and sum(now.sent) <= MIB,
            passes=1,
        ),
        Point(
            "late in the snapshot",
            lambda now: in_pass(1)(now) and sum(now.sent) > SNAPSHOT / 2,
            passes=1,
        ),
        Point("in pass 2", in_pass(2), passes=2),
        Point("in pass 3", in_pass(3), passes=3),
        Point("in pass 5", in_pass(5), passes=5),
        Point("late, in pass 8", in_pass(8), passes=8),
        Point(
            "stopped in the middle of the snapshot",
            lambda now: waiting(now) and now.passes == 1,
            passes=1,
            switch_at=protocol.switch_in_snapshot,
        ),
        Point(
            "stopped after some passes",
            lambda now: waiting(now) and now.passes >= 3,
            passes=3,
            switch_at=3,
        ),
    ]


def lost(protocol):
    """Where to lose the destination.

    The big lock is held while QEMU saves what is left, so no monitor can cancel
    there; but the destination can be lost.
    """
    return Point(
        "stopped, in the middle of the rest",
        lambda now: now.state == "stopped-saving" and now.stopped_bytes > MIB and now.pending > MIB,
        passes=1,
        switch_at=protocol.switch_in_snapshot,
        cut=True,
    )


def whole(guest, lab):
    move = lab.move(guest, lab.mdev(**MEMORY), bandwidth=BANDWIDTH, passes=2)
    check_load(move, 2)
    check_bytes(move)
    assert move.pass_bytes[0] > SNAPSHOT, "the first pass was not the whole snapshot"
    check_pages(guest, move)
    return move


def ends_at(tap, lab, guest, point):
    attempt = lab.attempt(guest, lab.mdev(**MEMORY), bandwidth=BANDWIDTH, point=point)
    now = attempt.moment
    tap.note(
        f"{point.name}: {attempt.milliseconds():.1f} ms; {now.status}, {now.state}, pass {now.passes}, "
        f"{sum(now.sent)} + {now.stopped_bytes} bytes given, {now.pending} pending"
    )
    if attempt.sessions:
        tap.note(f"sessions in each try to cancel at once: {attempt.sessions}")
    return attempt


def check_at_once(attempt):
    assert attempt.moment.status in ("setup", "active"), attempt.moment.status
    equal(attempt.moment.passes, 0, "passes")
    equal(sum(attempt.moment.sent), 0, "bytes of the device that were given")
    # Else it would be an end before the beginning.
    equal(attempt.sessions[-1], 1, "sessions that QEMU's trace has of the last try")


def check_ended(guest, attempt, point):
    """The guest is where it was, whole; and neither device has a session left."""
    if point.reached is None:
        check_at_once(attempt)
    else:
        equal(attempt.loaded, "resuming", "the destination's device")
    guest.vmm.until_status("running")
    mdev = guest.vmm.mdev
    equal(mdev.read("state"), "running", "the source's device")
    equal(mdev.number("pending_bytes"), 0, "pending bytes, with no session")
    check_goes_on(guest)


def wanted(protocol, sample):
    """All points, or as a sample every fourth one; and the last of all."""
    first = 0 if protocol.cancels_unconnected else 1
    return [*points(protocol)[first :: 4 if sample else 1], lost(protocol)]


def cancelled(tap, lab, sample):
    guest = lab.boot(lab.mdev(**MEMORY), RAM_MIB)
    guest.fill(most(guest.pages))
    guest.load(**LOAD)
    tap.took("a guest with 16 MiB boots")
    for point in wanted(lab.protocol, sample):
        what = "destination lost" if point.cut else "cancelled"
        with tap.test(f"W-1 V1-25 P-8 {what} {point.name}: no page is lost, nor in the migration after it"):
            attempt = ends_at(tap, lab, guest, point)
            check_ended(guest, attempt, point)
            whole(guest, lab)
        tap.took(f"{what} {point.name}")
    lab.end(guest)
