#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What a migration of 1 GiB costs under QEMU 10.0, beside other devices.

A guest writes a word to page after page of the device's memory while it moves. The
others: the same without pre-copy; ivshmem's memory, which QEMU itself migrates as RAM;
and, for the price of having a device at all, the kernel's mtty with its few bytes,
beside a Tern device with unwritten memory. Prints figures as bench.h does.
"""

import collections
import pathlib
import subprocess
import sys
import uuid

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "migration"))
# pylint: disable=wrong-import-position
from host import DEVICES
from lab import Lab, arguments
from usual import FAST, RAM_MIB

MEMORY_MIB = 1024
RATE = 512  # pages a second
DOWNTIME_MS = 300  # QEMU's own default
NO_LIMIT_MS = 2000000
MTTY = pathlib.Path("/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-1/create")

Cost = collections.namedtuple("Cost", "ms downtime_ms kib")


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


def ivshmem(lab):
    """QEMU makes it, and migrates its memory as the guest's."""
    memory = f"memory-backend-ram,id=memory,share=on,size={MEMORY_MIB}M"
    return Other(
        lab.here, "-object", memory, "-device", "ivshmem-plain,memdev=memory,master=on"
    )


def mtty(lab):
    name = str(uuid.uuid4())
    MTTY.write_text(name)
    path = DEVICES / name
    device = f"vfio-pci,sysfsdev={path},enable-migration=on,x-device-dirty-page-tracking=off"
    return Other(lab.here, "-device", device + lab.machine.device, path=path)


def cost(lab, make, writes, downtime_ms=DOWNTIME_MS):
    """Of one migration from such a device to another one."""
    guest = lab.boot(make(), RAM_MIB)
    if writes:
        guest.fill(guest.pages)
        guest.tell(f"rate {RATE}")
        guest.wait(f"rate {RATE}")
    infos = []
    move = lab.move(
        guest,
        make(),
        bandwidth=FAST,
        downtime_ms=downtime_ms,
        arrived=lambda qmp: infos.append(qmp.command("query-migrate")),
    )
    lab.end(guest)
    # What is transferred counts there for the whole stream, the devices' bytes, too.
    return Cost(infos[0]["total-time"], move.downtime_ms, infos[0]["ram"]["transferred"] // 1024)


def figure(name, value, unit, baseline):
    print(f"{name}|{value}|{unit}|{baseline}|{value / baseline:.3f}", flush=True)


def main():
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--mtty", required=True, help="mtty.ko")
    args = parser.parse_args()
    lab = Lab(args)
    subprocess.check_call(["insmod", args.mtty])

    def tern(precopy=1):
        return lab.mdev(memory_mib=MEMORY_MIB, precopy=precopy)

    def told(what, *how):
        found = cost(lab, *how)
        print(f"# {what}: {found}", flush=True)
        return found

    ours = told("tern", tern, True)
    whole = told("tern, precopy 0", lambda: tern(precopy=0), True, NO_LIMIT_MS)
    ram = told("ivshmem", lambda: ivshmem(lab), True)
    empty = told("tern, untouched", tern, False)
    few = told("mtty", lambda: mtty(lab), False)

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
