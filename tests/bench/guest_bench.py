#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What a guest's stores cost while it is migrated: to BAR2, and to its own memory.

Prints figures as bench.h does. QEMU is kept in pre-copy: it takes the guest's pages
and the device's in turn, and the guest writes all of them again.
"""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "migration"))
# pylint: disable=wrong-import-position
from lab import Lab, arguments
from usual import FAST, RAM_MIB

# A second. All that the guest writes is as much: if QEMU took it faster, the guest
# would get no processor to write it again.
BANDWIDTH = 4 << 20
SECONDS = 20
PASSES = 2  # before it counts


def wait(loop, seconds):
    """Let time go by."""
    ticks = []
    end = loop.every(seconds, lambda: ticks.append(1))
    # The first tick comes at once.
    loop.until(lambda: len(ticks) > 1, "time", seconds * 4 + 60)
    end()


def measure(guest, loop, move):
    """Two kinds of stores: count, mean, slow ones, their median."""
    qmp = move.source.qmp

    def harvests():
        sync = qmp.command("query-migrate")["ram"]["dirty-sync-count"]
        return move.source.mdev.number("passes"), sync

    guest.tell("begin")
    guest.wait("begin")
    before = harvests()
    wait(loop, SECONDS)
    after = harvests()
    assert not qmp.event("MIGRATION", status="completed"), "the guest left too early"
    guest.tell("end")
    kinds = []
    for name in "bar2", "ram":
        match = guest.wait(rf"{name} (\d+) ([\d.]+) (\d+) ([\d.]+)")
        kinds.append([float(word) for word in match.groups()])
    print(
        f"# passes over BAR2 {after[0] - before[0]}, looks at the dirty log of RAM "
        f"{after[1] - before[1]}; stores {kinds[0][0]:.0f} and {kinds[1][0]:.0f}, slow "
        f"{kinds[0][2]:.0f} and {kinds[1][2]:.0f}",
        flush=True,
    )
    return kinds


def figure(name, value, baseline):
    print(f"{name}|{value:.0f}|ns|{baseline:.0f}|{value / baseline:.3f}", flush=True)


def main():
    lab = Lab(arguments(__doc__.splitlines()[0]).parse_args())
    guest = lab.boot(lab.mdev(memory_mib=16), RAM_MIB)
    kinds = []
    lab.move(
        guest,
        lab.mdev(memory_mib=16),
        bandwidth={0: FAST, 1: BANDWIDTH},
        passes=PASSES,
        interrupt=lambda move: kinds.extend(measure(guest, lab.loop, move)),
    )
    device, ram = kinds
    figure("guest-harvested", device[3], ram[3])
    figure("guest-mean", device[1], ram[1])
    lab.end(guest)


if __name__ == "__main__":
    sys.exit(main())
