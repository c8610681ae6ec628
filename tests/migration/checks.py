# SPDX-License-Identifier: GPL-2.0-only
"""What must be true of a migration."""


PASSES_LISTED = 256


def equal(found, expected, what):
    assert found == expected, f"{what}: expected {expected}, found {found}"


def describe(move):
    if move.downtime_ms is None:
        downtime = "paused"
    elif move.one_clock:
        downtime = f"downtime {move.downtime_ms} ms"
    else:
        downtime = "downtime unknown: two clocks"
    return (
        f"{move.passes} passes of {', '.join(map(str, move.pass_bytes)) or 'no'} bytes, "
        f"stopped: {move.stopped_bytes} bytes, {downtime}"
    )


def check_bytes(move):
    """Tern's counts against QEMU's: to the byte."""
    # The first line sums up all passes but the last ones.
    equal(len(move.pass_bytes), min(move.passes, PASSES_LISTED + 1), "lines of pass_bytes")
    equal(move.trace.running_bytes, sum(move.pass_bytes), "QEMU's trace, before the stop")
    equal(move.trace.stopped_bytes, move.stopped_bytes, "QEMU's trace, after the stop")
    equal(move.late_marks, 0, "stores after the stop")
    assert move.trace.stopped_bytes, "QEMU's trace names no bytes at all"


def check_pages(guest, move):
    """Nothing of where the guest came from can help it any more."""
    equal(move.source.status, 0, "exit status of the source")
    assert not move.source.mdev.exists(), "the source's device is still there"
    verdict = guest.verify()
    check_verdict(verdict, guest.pages)
    return verdict


def check_verdict(verdict, pages):
    """As the guest's books say: every page, the registers, the generations."""
    assert not verdict.bad, "\n".join([f"bad pages: {verdict.bad}", *verdict.lines])
    equal(verdict.pages, pages, "pages verified")
    assert verdict.stamps, "nothing was ever stamped"


def check_goes_on(guest):
    """It writes, and finds what it wrote."""
    guest.goes_on()
    check_verdict(guest.verify(), guest.pages)


def check_load(move, least_passes):
    """The migration took several passes, and the guest wrote continuously."""
    assert move.passes >= least_passes, f"{move.passes} passes, not {least_passes}"
    assert move.samples[-1].stamps > move.samples[0].stamps, "the guest stamped nothing meanwhile"


def check_sabotage(guest):
    guest.stop()
    spoiled = [guest.sabotage(kind) for kind in ("lost", "stale", "doubled", "torn")]
    verdict = guest.verify()
    equal(verdict.bad, len(spoiled), "bad pages")
    equal(verdict.names(), sorted(spoiled), "their names")


def check_silence(lab):
    said = [f"{qemu.name}: {qemu.complaints()}" for qemu in lab.qemus if qemu.complaints()]
    assert not said, "\n".join(said)
