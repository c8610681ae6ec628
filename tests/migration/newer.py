# SPDX-License-Identifier: GPL-2.0-only
"""What only a QEMU that speaks v2 can do."""

from checks import check_goes_on, check_pages, describe, equal
from usual import FAST, FULL_LOAD, MIB, RAM_MIB, most

LARGE_MIB = 256
# User Mode Linux maps each page of a process by itself; Linux allows 65530 mappings.
LARGE_UML_MIB = 64
PATIENCE_MS = 300000  # for all of it at an emulated processor's pace
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
    mib = LARGE_MIB if lab.machine.kvm else LARGE_UML_MIB
    guest = lab.boot(lab.mdev(memory_mib=mib, precopy=0), RAM_MIB)
    guest.fill(guest.pages)
    guest.load(**FULL_LOAD)
    tap.took(f"a guest with {mib} MiB boots and fills them")
    move = lab.move(
        guest,
        lab.mdev(memory_mib=mib),
        bandwidth=FAST,
        capabilities=("multifd",),
        downtime_ms=PATIENCE_MS,
    )
    tap.note(describe(move))
    with tap.test(f"multifd with {mib} MiB of device memory: every page has the expected contents"):
        assert move.stopped_bytes > mib * MIB, f"{move.stopped_bytes} bytes after the stop"
        check_pages(guest, move)
        check_goes_on(guest)
    with tap.test("VFIO_MIGRATION reports the device states in order"):
        equal(states(move.source), SOURCE, "the source's states")
        equal(states(guest.vmm)[-len(DESTINATION) :], DESTINATION, "the destination's")
    lab.end(guest)
    tap.took(f"{mib} MiB by multifd")


def device(lab):
    return lab.mdev(memory_mib=lab.machine.memory_mib)


def snapshot(lab):
    """Bytes, or more, of the first pass: so much is filled."""
    return most(lab.machine.memory_mib * MIB)


def acknowledged(tap, lab):
    guest = lab.boot(device(lab), RAM_MIB)
    guest.fill(most(guest.pages))
    guest.load(**FULL_LOAD)
    for capabilities in (), ("switchover_ack",):
        name = "with" if capabilities else "without"
        with tap.test(f"{name} switchover-ack: no page is lost"):
            # With so much patience nothing but the acknowledgement delays the switchover.
            move = lab.move(
                guest,
                device(lab),
                bandwidth=FAST,
                capabilities=capabilities,
                downtime_ms=PATIENCE_MS,
            )
            tap.note(f"{name}: {describe(move)}")
            if capabilities:
                assert sum(move.pass_bytes) > snapshot(lab), "the guest stopped before its snapshot"
            else:
                assert sum(move.pass_bytes) < snapshot(lab), "nothing was left to be waited for"
            check_pages(guest, move)
    lab.end(guest)
    tap.took("switchover-ack")


def reinitialised(tap, lab):
    """The device has new initial data in mid-pre-copy, when all else is ready to leave."""
    guest = lab.boot(device(lab), RAM_MIB)
    guest.fill(most(guest.pages))
    guest.load(**FULL_LOAD)
    given = []

    def again(move):
        move.source.mdev.write("reinit", 1)
        given.append(sum(move.source.mdev.numbers("pass_bytes")))

    with tap.test("V2-15 reinit during pre-copy delays the switchover until it is acknowledged again"):
        move = lab.move(
            guest,
            device(lab),
            bandwidth=FAST,
            passes=2,
            interrupt=again,
            capabilities=("switchover_ack",),
        )
        tap.note(describe(move))
        steps = lab.protocol.acknowledgements(move.source.trace_text())
        tap.note(f"the source's trace: {', '.join(steps)}")
        last = len(steps) - 1 - steps[::-1].index("asked")
        equal(steps[last:], ["asked", "acknowledged", "stopped"], "the last steps")
        assert "acknowledged" in steps[:last], "the first snapshot was not acknowledged"
        again = sum(move.pass_bytes) - given[0]
        assert again > snapshot(lab), f"the guest stopped after {again} bytes of the new snapshot"
        check_pages(guest, move)
        check_goes_on(guest)
    lab.end(guest)
    tap.took("new initial data")


def count(protocol):
    return TESTS + protocol.acknowledges_again


def newer(tap, lab):
    multifd(tap, lab)
    acknowledged(tap, lab)
    if lab.protocol.acknowledges_again:
        reinitialised(tap, lab)
