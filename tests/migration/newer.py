# SPDX-License-Identifier: GPL-2.0-only
"""What only a QEMU that speaks v2 can do."""

from checks import check_goes_on, check_pages, describe, equal
from usual import FAST, FULL_LOAD, MIB, RAM_MIB

LARGE = {"memory_mib": 256}
SMALL = {"memory_mib": 64}
PATIENCE_MS = 300000  # for all of it at an emulated processor's pace
SNAPSHOT = 48 * MIB
TESTS = 4

# What a device's states must be, on either side, from the migration's beginning on.
SOURCE = "running-p2p", "stop", "stop-copy", "stop"
DESTINATION = "resuming", "running-p2p", "running"


def states(vmm):
    return tuple(
        event["data"]["device-state"]
        for event in vmm.qmp.events
        if event["event"] == "VFIO_MIGRATION"
    )


def multifd(tap, lab):
    # It is what is read after the stop that goes by the channels: all of it.
    guest = lab.boot(lab.mdev(precopy=0, **LARGE), RAM_MIB)
    guest.fill(guest.pages)
    guest.load(**FULL_LOAD)
    tap.took("a guest with 256 MiB boots and fills them")
    move = lab.move(
        guest,
        lab.mdev(**LARGE),
        bandwidth=FAST,
        capabilities=("multifd",),
        downtime_ms=PATIENCE_MS,
    )
    tap.note(describe(move))
    with tap.test("multifd, 256 MiB of the device's: every page has the expected contents"):
        assert move.stopped_bytes > 256 * MIB, f"{move.stopped_bytes} bytes after the stop"
        check_pages(guest, move)
        check_goes_on(guest)
    with tap.test("the events of VFIO_MIGRATION, in their order"):
        equal(states(move.source), SOURCE, "the source's states")
        equal(states(guest.vmm)[-len(DESTINATION) :], DESTINATION, "the destination's")
    lab.end(guest)
    tap.took("256 MiB by multifd")


def acknowledged(tap, lab):
    guest = lab.boot(lab.mdev(**SMALL), RAM_MIB)
    guest.fill(guest.pages * 3 // 4)
    guest.load(**FULL_LOAD)
    for capabilities in (), ("switchover_ack",):
        name = "with" if capabilities else "without"
        with tap.test(f"{name} switchover-ack: whole"):
            move = lab.move(
                guest, lab.mdev(**SMALL), bandwidth=FAST, capabilities=capabilities
            )
            tap.note(f"{name}: {describe(move)}")
            if capabilities:
                assert sum(move.pass_bytes) > SNAPSHOT, "the guest stopped before its snapshot"
            else:
                assert sum(move.pass_bytes) < SNAPSHOT, "nothing was left to be waited for"
            check_pages(guest, move)
    lab.end(guest)
    tap.took("switchover-ack")


def newer(tap, lab):
    multifd(tap, lab)
    acknowledged(tap, lab)
