#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Live migration of a guest with a tern device, between QEMUs of one machine.

Runs as root where KVM is; scripts/check-migration.sh runs it in a VM. Says in
TAP what it found. Where a guest is lost, the tests that it was meant for fail,
and the next scenario has a guest of its own.
"""

import contextlib
import sys
import time
import traceback

from lab import Lab, arguments

MIB = 1 << 20
RAM_MIB = 128

# Chunks that fit into a tenth of a second, which is the grain of QEMU's limit.
WINDOW_KIB = 1024
FAST = 256 * MIB  # faster than it goes
SLOW = 4 * MIB  # slower than the guest writes: each pass leaves enough for one more
STEADY = {0: FAST, 2: SLOW}  # the snapshot fast, the passes after it slow
UNTOUCHED_MIB = 64, 16384


class Tap:
    def __init__(self, plan):
        self.failed = 0
        self._count = 0
        self._last = time.monotonic()
        print("TAP version 13", f"1..{plan}", sep="\n", flush=True)

    @contextlib.contextmanager
    def scenario(self, lab, tests):
        """So many tests that share a guest. Those that are not reached fail."""
        end = self._count + tests
        try:
            yield
        except Exception:
            self.note(traceback.format_exc())
            lab.clear()
        while self._count < end:
            self._result(False, "not reached")

    @contextlib.contextmanager
    def test(self, name):
        """The body is the test; a failed assertion, or anything raised, fails it."""
        try:
            yield
        except AssertionError as error:
            self.note(str(error))
            self._result(False, name)
        except Exception:
            self.note(traceback.format_exc())
            self._result(False, name)
        else:
            self._result(True, name)

    def _result(self, good, name):
        self._count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self._count} - {name}", flush=True)

    def note(self, text):
        for line in text.splitlines():
            print(f"# {line}", flush=True)

    def took(self, what):
        now = time.monotonic()
        self.note(f"{what}: {now - self._last:.1f} s")
        self._last = now


def equal(found, expected, what):
    assert found == expected, f"{what}: expected {expected}, found {found}"


def describe(move):
    return (
        f"{move.passes} passes of {', '.join(map(str, move.pass_bytes)) or 'no'} bytes, "
        f"stopped: {move.stopped_bytes} bytes, downtime {move.downtime_ms} ms"
    )


def check_bytes(move):
    """Tern's counts against QEMU's: to the byte."""
    equal(len(move.pass_bytes), move.passes, "lines of pass_bytes")
    equal(move.trace.running_bytes, sum(move.pass_bytes), "QEMU's trace, before the stop")
    equal(move.trace.stopped_bytes, move.stopped_bytes, "QEMU's trace, after the stop")
    equal(move.late_marks, 0, "stores after the stop")
    assert move.trace.stopped_bytes, "QEMU's trace names no bytes at all"


def check_pages(guest, move):
    """Nothing of where the guest came from can help it any more."""
    equal(move.source.status, 0, "exit status of the source")
    assert not move.source.mdev.path.exists(), "the source's device is still there"
    verdict = guest.verify()
    assert not verdict.bad, "\n".join([f"bad pages: {verdict.bad}", *verdict.lines])
    equal(verdict.pages, guest.pages, "pages verified")
    assert verdict.stamps, "nothing was ever stamped"


def check_load(move, least_passes):
    """The move went on for several passes, and the guest wrote all the while."""
    assert move.passes >= least_passes, f"{move.passes} passes, not {least_passes}"
    assert move.samples[-1].stamps > move.samples[0].stamps, "the guest stamped nothing meanwhile"


def under_load(tap, lab, rounds):
    """To and fro, then once more without pre-copy; then the judge is judged."""
    memory = {"memory_mib": 64, "window_kib": WINDOW_KIB}
    guest = lab.boot(lab.mdev(**memory), RAM_MIB)
    equal(guest.pages, 64 * MIB // 4096, "pages that the guest sees")
    tap.took("a guest with 64 MiB boots")
    guest.fill(guest.pages * 3 // 4)
    tap.took("it fills three quarters of them")
    guest.load(working_set=1024, rate=2000)

    for n in range(1, rounds + 1):
        # The device that the guest moves to is the next one that it leaves.
        mdev = lab.mdev(precopy=int(n < rounds), **memory)
        move = lab.move(guest, mdev, bandwidth=STEADY, passes=5)
        tap.note(describe(move))
        with tap.test(f"A1-11 migration {n} under load: three passes or more"):
            check_load(move, 3)
        with tap.test(f"A1-11 migration {n} under load: QEMU and tern count the same bytes"):
            check_bytes(move)
        with tap.test(f"A1-10 migration {n} under load: every page is as the books say"):
            check_pages(guest, move)
        tap.took(f"migration {n}")

    move = lab.move(guest, lab.mdev(**memory), bandwidth=FAST)
    tap.note(describe(move))
    with tap.test("A1-12 precopy 0: not one byte before the stop"):
        equal(move.passes, 0, "passes")
        check_bytes(move)
    with tap.test("A1-12 precopy 0: every page is as the books say"):
        check_pages(guest, move)
    tap.took("precopy 0")

    with tap.test("A1-10 spoiled pages are found, each by its name"):
        check_sabotage(guest)
    lab.end(guest)


def check_sabotage(guest):
    guest.stop()
    spoiled = [guest.sabotage(kind) for kind in ("lost", "stale", "doubled", "torn")]
    verdict = guest.verify()
    equal(verdict.bad, len(spoiled), "bad pages")
    equal(verdict.names(), sorted(spoiled), "their names")


def one_percent(tap, lab):
    """What pre-copy is for: little is left to send when the guest stands still."""
    memory = {"memory_mib": 256, "window_kib": WINDOW_KIB}
    guest = lab.boot(lab.mdev(precopy=0, **memory), RAM_MIB)
    equal(guest.pages, 256 * MIB // 4096, "pages that the guest sees")
    tap.took("a guest with 256 MiB boots")
    guest.fill(guest.pages)
    tap.took("it fills them")
    guest.load(working_set=guest.pages // 100, rate=2500)

    whole = lab.move(guest, lab.mdev(precopy=1, **memory), bandwidth=FAST)
    tap.note(f"precopy 0: {describe(whole)}")
    tap.took("migration without pre-copy")
    rest = lab.move(guest, lab.mdev(**memory), bandwidth=STEADY, passes=5)
    tap.note(f"precopy 1: {describe(rest)}")
    tap.took("migration with pre-copy")
    with tap.test("A1-12 256 MiB, 1 % dirty a pass: a tenth or less is sent stopped"):
        check_load(rest, 3)
        check_bytes(whole)
        check_bytes(rest)
        assert whole.stopped_bytes > 256 * MIB, "precopy 0 did not send it all"
        # Without the first pass, the snapshot, and the last one, which was cut.
        for sent in rest.pass_bytes[1:-1]:
            share = sent / whole.stopped_bytes
            assert 0.005 < share < 0.02, f"a pass of {sent} bytes is not about 1 %"
        assert rest.stopped_bytes <= whole.stopped_bytes / 10, "more than a tenth"
    with tap.test("A1-12 256 MiB, 1 % dirty a pass: every page is as the books say"):
        check_pages(guest, rest)
    tap.took("verification")
    lab.end(guest)


def untouched(tap, lab, mib):
    """A BIOS gives the BARs their places, and writes to none."""
    guest = lab.boot(lab.mdev(memory_mib=mib), 64, linux=False)
    move = lab.move(guest, lab.mdev(memory_mib=mib), bandwidth=FAST)
    with tap.test(f"A1-12 {mib} MiB never touched: less than 64 KiB sent"):
        check_bytes(move)
        sent = sum(move.pass_bytes) + move.stopped_bytes
        assert sent < 64 << 10, f"{sent} bytes"
    lab.end(guest)
    tap.took(f"{mib} MiB never touched")


def check_silence(lab):
    said = [f"{qemu.name}: {qemu.complaints()}" for qemu in lab.qemus if qemu.complaints()]
    assert not said, "\n".join(said)


def run(tap, lab, rounds):
    with tap.scenario(lab, tests=3 * rounds + 3):
        under_load(tap, lab, rounds)
    with tap.scenario(lab, tests=2):
        one_percent(tap, lab)
    for mib in UNTOUCHED_MIB:
        with tap.scenario(lab, tests=1):
            untouched(tap, lab, mib)
    with tap.test("no QEMU had anything to say"):
        check_silence(lab)
    with tap.test("nothing is left: no process, no device, and the module goes"):
        equal(lab.leftovers(), [], "left")


def main():
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="migrations under load (3)")
    args = parser.parse_args()
    tap = Tap(plan=3 * args.rounds + 7 + len(UNTOUCHED_MIB))
    run(tap, Lab(args), args.rounds)
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
