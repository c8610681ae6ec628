#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Live migration of a guest with a tern device, between QEMUs of one machine.

Runs as root where KVM is; scripts/check-migration.sh runs it in a VM. Says in
TAP what it found. Where a guest is lost, the tests that it was meant for fail,
and the next scenario has a guest of its own.
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import time

import cancelled
import guestless
import hosts
import limits
import newer
import rounds
import saved
import situations
import ways
from checks import check_bytes, check_load, check_pages, check_sabotage, check_silence, describe, equal
from lab import Lab, arguments
from tap import Tap
from usual import FAST, MIB, RAM_MIB, most

# Chunks that fit into a tenth of a second, which is the grain of QEMU's limit.
WINDOW_KIB = 1024
SLOW = 4 * MIB  # slower than the guest writes: each pass leaves enough for one more
STEADY = {0: FAST, 2: SLOW}  # the snapshot fast, the passes after it slow
DMA = 20  # transfers a second, of 256 KiB, either way in turn
UNTOUCHED_MIB = 64, 16384
LSPCI = pathlib.Path(__file__).parent.parent / "golden" / "lspci.txt"


def lspci(config):
    """What lspci -vv says of it, with the addresses that vary masked."""
    with tempfile.NamedTemporaryFile("w") as dump:
        dump.write(config)
        dump.flush()
        command = ["lspci", "-F", dump.name, "-n", "-vv"]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    said = re.sub(r"^[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", "BUS", said, flags=re.MULTILINE)
    said = re.sub(r"routed to IRQ \d+", "routed to IRQ NUMBER", said)
    return re.sub(r"Memory at [0-9a-f]+", "Memory at ADDRESS", said)


def without_msix(expected):
    """What lspci says of a guest that uses INTx."""
    for there, here in ("MSI-X: Enable+", "MSI-X: Enable-"), ("DisINTx+", "DisINTx-"):
        assert there in expected
        expected = expected.replace(there, here)
    return expected


def check_lspci(tap, lab, guest):
    # The file's dump by the same lspci: each version has other words.
    found, expected = lspci(guest.config()), lspci(LSPCI.read_text())
    if lab.intx:
        expected = without_msix(expected)
        # The line may be raised just now.
        found = re.sub(r"(Status: .* INTx)[+-]", r"\1-", found)
    if found != expected:
        tap.note(found)
    assert found == expected, f"not as in {LSPCI.name}"


def under_load(tap, lab, count):
    """Back and forth, then once more without pre-copy; then the checks are checked."""
    mib = lab.machine.memory_mib
    memory = {"memory_mib": mib, "window_kib": WINDOW_KIB}
    guest = lab.boot(lab.mdev(**memory), RAM_MIB)
    equal(guest.pages, mib * MIB // 4096, "pages that the guest sees")
    tap.took(f"a guest with {mib} MiB boots")
    guest.fill(most(guest.pages))
    tap.took("it fills three quarters of them")
    with tap.test("V1-22 lspci -vv in the guest is as in lspci.txt"):
        check_lspci(tap, lab, guest)
    guest.load(working_set=1024, rate=2000, dma=DMA)

    transfers = 0
    for n in range(1, count + 1):
        # The destination's device is the next migration's source.
        mdev = lab.mdev(precopy=int(n < count), **memory)
        move = lab.move(guest, mdev, bandwidth=STEADY, passes=5)
        tap.note(describe(move))
        with tap.test(f"S-2 migration {n} under load takes three passes or more"):
            check_load(move, 3)
        with tap.test(f"migration {n} under load: QEMU's trace has as many bytes as Tern"):
            check_bytes(move)
        with tap.test(f"V1-28 migration {n} under load: every page has the expected contents"):
            moved = check_pages(guest, move).transfers
            tap.note(f"{moved} DMA transfers by now, and as many interrupts")
            assert moved > transfers, "not one transfer meanwhile"
            transfers = moved
        tap.took(f"migration {n}")

    move = lab.move(guest, lab.mdev(**memory), bandwidth=FAST)
    tap.note(describe(move))
    with tap.test("S-8 precopy 0 sends no byte before the stop"):
        equal(move.passes, 0, "passes")
        check_bytes(move)
    with tap.test("S-8 precopy 0: every page has the expected contents"):
        check_pages(guest, move)
    tap.took("precopy 0")

    with tap.test("V1-23 lspci -vv in the guest is the same after all migrations"):
        check_lspci(tap, lab, guest)
    with tap.test("pages corrupted on purpose are reported, each by its name"):
        check_sabotage(guest)
    lab.end(guest)


def one_percent(tap, lab):
    """What pre-copy is for: little is left to send when the guest is stopped."""
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
    with tap.test("P-2 256 MiB, 1 % dirty per pass: at most a tenth is sent after the stop"):
        check_load(rest, 3)
        check_bytes(whole)
        check_bytes(rest)
        assert whole.stopped_bytes > 256 * MIB, "precopy 0 did not send it all"
        # Without the first pass, the snapshot, and the last one, which was cut.
        for sent in rest.pass_bytes[1:-1]:
            # A pass that was short found less of the set; none finds more.
            assert 0 < sent / whole.stopped_bytes < 0.02, f"a pass of {sent} bytes"
        assert rest.stopped_bytes <= whole.stopped_bytes / 10, "more than a tenth"
    with tap.test("P-2 256 MiB, 1 % dirty per pass: every page has the expected contents"):
        check_pages(guest, rest)
    tap.took("verification")
    lab.end(guest)


def untouched(tap, lab, mib):
    """A BIOS gives the BARs their places, and writes to none."""
    guest = lab.boot(lab.mdev(memory_mib=mib), 64, linux=False)
    move = lab.move(guest, lab.mdev(memory_mib=mib), bandwidth=FAST)
    with tap.test(f"{mib} MiB never written: less than 64 KiB are sent"):
        check_bytes(move)
        sent = sum(move.pass_bytes) + move.stopped_bytes
        assert sent < 64 << 10, f"{sent} bytes"
    lab.end(guest)
    tap.took(f"{mib} MiB never written")


def scenarios(args, protocol):
    """Name, number of tests, and what to call."""
    if args.there:
        return [("hosts", hosts.TESTS, lambda *lab: hosts.hosts(*lab, args))]
    if args.load:
        return [("load", saved.LOAD_TESTS, lambda *lab: saved.load_all(*lab, args.load))]
    if args.only == "limits":
        return [("limits", limits.count(protocol), limits.limits)]
    if args.only == "situations":
        return [("situations", situations.count(protocol), situations.all_situations)]
    v1 = protocol.name == "v1"
    # What the engine does is the same for both protocols. User Mode Linux runs most of it,
    # by v2; a guest with KVM takes minutes where KVM is emulated.
    sample = v1 and not args.long
    points = len(cancelled.wanted(protocol, sample))
    loads = args.rounds or (3 if v1 and args.long else 1)
    turns = args.to_and_fro or (20 if args.long else 6)
    found = [("load", 3 * loads + 5, lambda *lab: under_load(*lab, loads))]
    if v1:
        if args.long or args.only:
            found += [("one-percent", 2, one_percent)]
        for mib in UNTOUCHED_MIB:
            found += [("untouched", 1, lambda *lab, mib=mib: untouched(*lab, mib))]
    found += [("guestless", guestless.TESTS, guestless.guestless)]
    found += [("rounds", rounds.TESTS, lambda *lab: rounds.to_and_fro(*lab, turns))]
    found += [("cancelled", points, lambda *lab: cancelled.cancelled(*lab, sample))]
    found += [("save", saved.SAVE_TESTS, lambda *lab: saved.save_all(*lab, args.save))]
    if not v1:
        found += [("newer", newer.count(protocol), newer.newer)]
    found += [("ways", ways.count(args), lambda *lab: ways.ways(*lab, args))]
    names = args.only.split(",") if args.only else [each[0] for each in found]
    unknown = set(names) - {each[0] for each in found}
    if unknown or (args.way and not ways.count(args)):
        raise SystemExit(f"no such scenario or way: {', '.join(unknown) or args.way}")
    return [each for each in found if each[0] in names]


def run(tap, lab, wanted):
    for _, tests, scenario in wanted:
        with tap.scenario(lab, tests):
            scenario(tap, lab)
    with tap.test("no QEMU printed anything, from its start to its exit"):
        check_silence(lab)
    with tap.test("no process and no device is left, and the module can be unloaded"):
        equal(lab.leftovers(), [], "left")


def main():
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, help="migrations under load (1; v1 --long: 3)")
    parser.add_argument("--to-and-fro", type=int, help="migrations of one guest (6; --long: 20)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32, help="of the ways")
    parser.add_argument("--way", default="", help="nothing but the ways with this in their title")
    parser.add_argument("--without", default="", metavar="W-N[,W-N]", help="all ways but these")
    parser.add_argument("--long", action="store_true", help="all of each way, not a sample; and more rounds")
    parser.add_argument("--only", metavar="SCENARIO[,SCENARIO]", help="nothing but these")
    files = parser.add_mutually_exclusive_group(required=True)
    files.add_argument("--save", type=pathlib.Path, help="a folder to make, for streams in files")
    files.add_argument("--load", type=pathlib.Path, help="nothing but to load what is there")
    files.add_argument("--there", metavar="ADDRESS", help="nothing but to move to that host")
    args = parser.parse_args()
    lab = Lab(args)
    wanted = scenarios(args, lab.protocol)
    tap = Tap(plan=sum(tests for _, tests, _ in wanted) + 2)
    run(tap, lab, wanted)
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
