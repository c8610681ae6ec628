#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The demo's part in the VM: one live migration under load, reported live.

Says on each line of its output what is going on, in JSON; show.py makes it
readable. The result goes to a file.
"""

import json
import pathlib
import sys

from lab import Lab, arguments
from move import SAMPLE_SECONDS
from usual import FAST, MIB, RAM_MIB, most

PAGE = 4096
PASSES = 8
SPOILED = "lost", "stale", "doubled", "torn"
SPOILED_PAGES = range(4)
AT_ONCE_MIBS = 1 << 20
BIOS_RAM_MIB = 64
TELL_SECONDS = 0.2
SPAN_SECONDS = 2  # over which rates are taken


def tell(**what):
    print(json.dumps(what), flush=True)


def tell_move():
    """Something for Move to call: says how it goes, a few times a second."""
    told = [0]

    def notice(move):
        now = move.samples[-1]
        if now.time - told[0] < TELL_SECONDS:
            return
        told[0] = now.time
        # The guest reports twice a second, so shorter spans would tell nothing.
        then = next(old for old in move.samples if now.time - old.time <= SPAN_SECONDS)
        seconds = max(now.time - then.time, SAMPLE_SECONDS)
        tell(
            stage="migrating",
            passes=now.passes,
            pending=now.pending,
            rate=(now.sent - then.sent) / seconds,
            dirty_rate=(now.stamps - then.stamps) * PAGE / seconds,
        )

    return notice


def linux(lab, mdev, rate_mibs):
    """A guest that writes and checks. Its pages that are written, and its working set."""
    tell(stage="booting", text="a guest with the device boots")
    guest = lab.boot(mdev, RAM_MIB)
    tell(stage="filling", text="the guest fills three quarters of the device's memory")
    guest.fill(most(guest.pages))
    rate = rate_mibs * MIB // PAGE
    # Half a second's worth: small enough to be written again in each pass.
    working_set = min(rate // 2, guest.pages // 2)
    guest.load(working_set, rate)
    return guest, most(guest.pages), working_set


def none(lab, mdev, rate_mibs):
    """The same of a device that does it by itself."""
    tell(stage="booting", text="a machine with the device starts, without a guest")
    guest = lab.boot(mdev, BIOS_RAM_MIB, linux=False)
    tell(stage="filling", text="the device fills its memory")
    guest.load(AT_ONCE_MIBS, pattern="sequential")
    lab.loop.until_looked(lambda: guest.stamps >= guest.pages, "the device writing")
    # The set begins with zeroes. What is behind it stays as it is, and is verified, too.
    set_mib = max(1, guest.pages * PAGE // MIB // 4)
    guest.load(rate_mibs, pattern="hot", set_mib=set_mib)
    # Most of it goes to a 16th of the set.
    working_set = set_mib * MIB // PAGE // 16
    lab.loop.until_looked(lambda: guest.stamps >= working_set, "the device writing")
    return guest, guest.pages - set_mib * MIB // PAGE + working_set, working_set


def spoil_by_guest(guest):
    """Corrupt pages. How many, and how many of them are found and named."""
    spoiled = [guest.sabotage(kind) for kind in SPOILED]
    return len(spoiled), len(set(spoiled) & set(guest.verify().names()))


def spoil(guest):
    """The same, where no more than the first one is named."""
    for page in SPOILED_PAGES:
        guest.spoil(page)
    verdict = guest.verify()
    # One that was not written yet has another damage.
    named = verdict.lines and verdict.lines[0].startswith(f"page {SPOILED_PAGES[0]} ")
    return len(SPOILED_PAGES), verdict.bad if named else 0


def demo(lab, how, memory_mib, rate_mibs, link_mibs):
    # QEMU sends a chunk at least in each tenth of a second. Where the guest writes
    # more than that, pass follows pass; but the snapshot is to end some time, too.
    window_kib = max(128, 64 * rate_mibs, 4 * memory_mib)
    attributes = {"memory_mib": memory_mib, "window_kib": window_kib}
    steady_mibs = max(1, min(rate_mibs // 2, max(4, rate_mibs // 4)))
    begin, corrupt = (none, spoil) if how == "none" else (linux, spoil_by_guest)
    guest, filled, working_set = begin(lab, lab.mdev(**attributes), rate_mibs)
    tell(stage="connecting", text="a second QEMU starts, then the migration")
    move = lab.move(
        guest,
        lab.mdev(**attributes),
        # The guest's memory, the snapshot of the device, the passes that follow.
        bandwidth={0: FAST, 1: max(1, memory_mib // 8) * MIB, 2: (link_mibs or steady_mibs) * MIB},
        passes=PASSES,
        notice=tell_move(),
    )
    checks = "the device" if how == "none" else "the guest"
    tell(stage="verifying", text=f"source and its device are removed: {checks} checks every page")
    verdict = guest.verify()
    tell(stage="spoiling", text="four pages are corrupted, to see whether they are found")
    guest.stop()
    spoiled, found = corrupt(guest)
    pages = guest.pages
    lab.end(guest)
    return {
        "guest": how,
        "memory_mib": memory_mib,
        "pages": pages,
        "filled": filled,
        "working_set": working_set,
        "passes": move.passes,
        "pass_bytes": move.pass_bytes,
        "stopped_bytes": move.stopped_bytes,
        "trace": [move.trace.running_bytes, move.trace.stopped_bytes],
        "downtime_ms": move.downtime_ms,
        "seconds": move.resumed - move.started,
        "stamps": verdict.stamps,
        "stamps_meanwhile": move.samples[-1].stamps - move.samples[0].stamps,
        "verified": verdict.pages,
        "bad": verdict.bad,
        "bad_names": verdict.lines,
        "spoiled": spoiled,
        "found": found,
        "complaints": [qemu.complaints() for qemu in lab.qemus if qemu.complaints()],
        "left": lab.leftovers(),
        "stopped": move.stopped - move.started,
        "resumed": move.resumed - move.started,
        "samples": [
            [round(sample.time - move.started, 3), sample.pending, sample.passes]
            for sample in move.samples
        ],
    }


def main():
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--memory-mib", type=int, required=True)
    parser.add_argument("--rate-mibs", type=int, required=True)
    parser.add_argument("--link-mibs", type=int, required=True, help="0: a part of that")
    parser.add_argument("--guest", choices=("linux", "none"), required=True)
    parser.add_argument("--result", required=True, help="file for the result")
    args = parser.parse_args()
    tell(stage="loading", text="the module is loaded")
    result = demo(Lab(args), args.guest, args.memory_mib, args.rate_mibs, args.link_mibs)
    pathlib.Path(args.result).write_text(json.dumps(result))


if __name__ == "__main__":
    sys.exit(main())
