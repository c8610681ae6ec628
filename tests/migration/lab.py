# SPDX-License-Identifier: GPL-2.0-only
"""The lab of one run: what was started in it, and how all of it ends."""

import pathlib

from loop import Loop
from mdev import DEVICES, Mdev, load_module, unload_module
from move import Move
from vmm import Guest, Qemu


class Lab:
    """Makes devices, QEMUs and guests, and leaves nothing of them behind."""

    def __init__(self, module, kernel, initrd, append, logs):
        self._logs = pathlib.Path(logs)
        self._logs.mkdir(parents=True, exist_ok=True)
        self.loop = Loop()
        self.qemus = []
        self._mdevs = []
        self._boot = ["-nodefaults", "-display", "none", "-cpu", "host", "-no-reboot"]
        self._linux = ["-kernel", kernel, "-initrd", initrd, "-append", append]
        load_module(module)

    def clear(self):
        """End what is still there; after a good run that is nothing."""
        for qemu in self.qemus:
            qemu.kill()
        for mdev in self._mdevs:
            mdev.remove()

    def leftovers(self):
        """What is there and should not be. Takes the module away."""
        left = [qemu.name for qemu in self.qemus if qemu.status is None]
        left += [path.name for path in DEVICES.glob("*")]
        unload_module()
        return left

    def mdev(self, **attributes):
        mdev = Mdev(**attributes)
        self._mdevs.append(mdev)
        return mdev

    def boot(self, mdev, ram_mib, linux=True):
        """A guest with the device: Linux and stamp.c, or the BIOS and nothing."""
        guest = Guest(self.loop)
        guest.boot = [*self._boot, "-m", str(ram_mib), *(self._linux if linux else [])]
        guest.vmm = self._qemu(mdev, guest)
        if linux:
            guest.pages = int(guest.wait(r"ready (\d+)")[0][1])
        return guest

    def move(self, guest, mdev, **options):
        """Move the guest to a new QEMU with that device."""
        move = Move(self.loop, guest.vmm, **options)
        move.run(guest, self._qemu(mdev, guest, incoming=True))
        return move

    def end(self, guest):
        """Power off."""
        guest.vmm.quit(self.loop)
        guest.vmm.mdev.remove()

    def _qemu(self, mdev, guest, incoming=False):
        name = f"qemu-{len(self.qemus) + 1}"
        qemu = Qemu(name, self._logs, mdev, guest.boot, incoming)
        self.qemus.append(qemu)
        qemu.start(self.loop, guest.feed)
        return qemu
