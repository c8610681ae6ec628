#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What a migration costs under QEMU 10.0, beside other devices.

A guest writes a word to page after page of the device's memory while it moves. The
others: the same without pre-copy; ivshmem's memory, which QEMU itself migrates as RAM;
and, for the price of having a device at all, the kernel's mtty with its few bytes,
beside a Tern device with unwritten memory. Prints figures as bench.h does.

--profile: instead, one migration of Tern's memory, with a line "# begins" before and "# ends"
after it.

--rates, --large: instead, Tern's memory and ivshmem's at several sizes and rates. A line each:

    case|DEVICE|MIB|ASKED|MS|DOWNTIME_MS|KIB|SECONDS|WRITTEN

ASKED and WRITTEN are MiB/s. SECONDS are processor time of both QEMUs, in and outside of the
kernel, without the thread of the guest's processor. User Mode Linux does not count the two
apart.
"""

import collections
import os
import pathlib
import subprocess
import sys
import uuid

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "migration"))
# pylint: disable=wrong-import-position
from host import DEVICES
from lab import Lab, arguments
from usual import RAM_MIB

MEMORY_MIB = 1024
PAGES_OF_MIB = 256
RATE = 512  # pages a second
DOWNTIME_MS = 300  # QEMU's own default
NO_LIMIT_MS = 2000000
NO_LIMIT = 1 << 40  # bytes a second
# After so many seconds the operator accepts any downtime.
PATIENCE = 120
# MiB of memory, MiB/s written
CASES = (256, 64), (1024, 0), (1024, 64), (1024, 512)
LARGE = (4096, 0), (4096, 64)
MTTY = pathlib.Path("/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-1/create")

TICKS = os.sysconf("SC_CLK_TCK")

Cost = collections.namedtuple("Cost", "ms downtime_ms kib seconds written")


class Other:
    """A device that says nothing of itself."""

    excused = (r".*",)

    def __init__(self, host, *options, path=None):
        self.host = host
        self._options = options
        self._path = path

    def options(self, _):
        return self._options

    def read(self, _):
        return ""

    def number(self, _):
        return 0

    def numbers(self, _):
        return []

    def exists(self):
        return bool(self._path and self._path.exists())

    def remove(self):
        if self.exists():
            (self._path / "remove").write_text("1")


def ivshmem(lab, mib=MEMORY_MIB):
    """QEMU makes it, and migrates its memory as the guest's."""
    memory = f"memory-backend-ram,id=memory,share=on,size={mib}M"
    return Other(
        lab.here, "-object", memory, "-device", "ivshmem-plain,memdev=memory,master=on"
    )


def mtty(lab):
    name = str(uuid.uuid4())
    MTTY.write_text(name)
    path = DEVICES / name
    device = f"vfio-pci,sysfsdev={path},enable-migration=on,x-device-dirty-page-tracking=off"
    return Other(lab.here, "-device", device + lab.machine.device, path=path)


def used(path):
    """Seconds of a processor."""
    # Behind the name, which may contain anything.
    fields = pathlib.Path(path).read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def seconds_of(qemu):
    """Without the guest's own."""
    guest = [cpu["thread-id"] for cpu in qemu.qmp.command("query-cpus-fast")]
    threads = (used(f"/proc/{qemu.pid}/task/{thread}/stat") for thread in guest)
    return used(f"/proc/{qemu.pid}/stat") - sum(threads)


class Impatience:
    """Accept any downtime, once, if it does not end."""

    def __init__(self):
        self._accepted = False

    def __call__(self, move):
        if not self._accepted and move.samples[-1].time - move.started > PATIENCE:
            # More samples are taken while the monitor answers.
            self._accepted = True
            move.accept(NO_LIMIT_MS)


def cost(lab, make, rate, downtime_ms=DOWNTIME_MS, mark=lambda _: None):
    """Of one migration from such a device to another one; None: its memory is unwritten."""
    guest = lab.boot(make(), RAM_MIB)
    if rate is not None:
        guest.fill(guest.pages)
        guest.tell(f"rate {rate}")
        guest.wait(f"rate {rate}")
    source = guest.vmm
    before = seconds_of(source)
    infos, seconds = [], []

    def arrived(qmp):
        seconds.append(seconds_of(source) + seconds_of(lab.qemus[-1]) - before)
        infos.append(qmp.command("query-migrate"))
        mark("ends")

    mark("begins")
    move = lab.move(
        guest,
        make(),
        bandwidth=NO_LIMIT,
        downtime_ms=downtime_ms,
        arrived=arrived,
        notice=Impatience(),
    )
    lab.end(guest)
    first, last = move.samples[0], move.samples[-1]
    written = (last.stamps - first.stamps) / max(last.time - first.time, 0.001) / PAGES_OF_MIB
    # What is transferred counts there for the whole stream, the devices' bytes, too.
    return Cost(
        infos[0]["total-time"],
        move.downtime_ms,
        infos[0]["ram"]["transferred"] // 1024,
        seconds[0],
        written,
    )


def figure(name, value, unit, baseline):
    print(f"{name}|{value}|{unit}|{baseline}|{value / baseline:.3f}", flush=True)


def rates(lab, cases):
    for mib, asked in cases:
        for device, make in (
            ("tern", lambda mib=mib: lab.mdev(memory_mib=mib)),
            ("ivshmem", lambda mib=mib: ivshmem(lab, mib)),
        ):
            c = cost(lab, make, asked * PAGES_OF_MIB)
            print(
                f"case|{device}|{mib}|{asked}|{c.ms}|{c.downtime_ms}|{c.kib}"
                f"|{c.seconds:.1f}|{c.written:.0f}",
                flush=True,
            )


def main():
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--mtty", required=True, help="mtty.ko")
    parser.add_argument("--rates", action="store_true", help="several sizes and rates")
    parser.add_argument("--large", action="store_true", help="as --rates, with more memory")
    parser.add_argument("--profile", action="store_true", help="one migration, and when")
    args = parser.parse_args()
    lab = Lab(args)
    if args.profile:
        cost(lab, lambda: lab.mdev(memory_mib=MEMORY_MIB), 0, mark=lambda what: print("#", what, flush=True))
        return
    if args.rates or args.large:
        rates(lab, LARGE if args.large else CASES)
        return

    subprocess.check_call(["insmod", args.mtty])

    def tern(precopy=1):
        return lab.mdev(memory_mib=MEMORY_MIB, precopy=precopy)

    def reported(what, *how):
        found = cost(lab, *how)
        print(f"# {what}: {found}", flush=True)
        return found

    ours = reported("tern", tern, RATE)
    whole = reported("tern, precopy 0", lambda: tern(precopy=0), RATE, NO_LIMIT_MS)
    ram = reported("ivshmem", lambda: ivshmem(lab), RATE)
    empty = reported("tern, untouched", tern, None)
    few = reported("mtty", lambda: mtty(lab), None)

    figure("move-downtime", ours.downtime_ms, "ms", whole.downtime_ms)
    figure("move-time-whole", ours.ms, "ms", whole.ms)
    figure("move-bytes-whole", ours.kib, "KiB", whole.kib)
    figure("move-time", ours.ms, "ms", ram.ms)
    figure("move-downtime-ram", ours.downtime_ms, "ms", ram.downtime_ms)
    figure("move-bytes", ours.kib, "KiB", ram.kib)
    figure("move-empty", empty.ms, "ms", few.ms)
    figure("move-empty-downtime", empty.downtime_ms, "ms", few.downtime_ms)


if __name__ == "__main__":
    sys.exit(main())
