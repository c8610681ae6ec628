# SPDX-License-Identifier: GPL-2.0-only
"""The lab of one run: what was started in it, and how all of it ends."""

import argparse
import contextlib
import pathlib
import subprocess

import protocol
from attempt import Attempt
from host import Here
from killed import Killed
from loop import Loop
from machine import IOMMUFD, KVM, logs_dma
from mdev import Mdev
from migration import Failed
from move import Move
from pause import Pause
from refusal import Refusal
from unattended import Unattended
from vmm import Guest, Qemu

# Two long searches of a booting Linux find nothing in such a guest. A disk or a peer that
# writes to the device is given physical addresses, so the guest leaves an IOMMU alone.
LINUX = "console=ttyS0 quiet panic=-1 pci=noearly cryptomgr.notests intel_iommu=off"

# QEMU 7.2 has KVM raise the line where it was routed as the machine was made, and does
# not look again when a state is loaded: so it is to raise it itself. To see when the
# guest has handled it, it takes the BARs' mappings away for so long, 1100 by default.
INTX = ("vfio-pci.x-no-kvm-intx=on", "vfio-pci.x-intx-mmap-timeout-ms=1")


def arguments(description):
    """A parser of the options of a lab."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--module", required=True, help="tern.ko")
    parser.add_argument("--kernel", required=True, help="the guest's kernel")
    parser.add_argument("--initrd", required=True, help="the guest's initramfs")
    parser.add_argument("--qemu", default="qemu-system-x86_64", help="7.2 speaks v1 (the installed one)")
    parser.add_argument("--iommufd", action="store_true", help="iommufd and no KVM")
    parser.add_argument("--logs", required=True, help="a folder for what the QEMUs say")
    return parser


class Lab:
    """Makes devices, QEMUs and guests, and leaves nothing of them behind."""

    def __init__(self, args):
        self._logs = pathlib.Path(args.logs)
        self._logs.mkdir(parents=True, exist_ok=True)
        self.loop = Loop()
        self.qemus = []
        self._mdevs = []
        self.machine = IOMMUFD if args.iommufd else KVM
        self._boot = [*self.machine.vmm, "-nodefaults", "-display", "none", "-no-reboot"]
        self._program = pathlib.Path(args.initrd).with_name("stamp")
        self.pause = Pause(self._program.with_name("pause.so"))
        self.wrapper = []  # what starts a QEMU
        self._linux = ["-kernel", args.kernel, "-initrd", args.initrd]
        self.here = Here()
        self.others = []  # machines, which end when nothing is asked for any more
        self.here.load_module(args.module)
        self.protocol = protocol.of(args.qemu, self.machine, logs_dma())
        self.intx = not (self.machine.kvm or self.protocol.msix_without_kvm)

    def clear(self):
        """End what is still there; after a good run that is nothing."""
        for qemu in self.qemus:
            qemu.kill()
        for mdev in self._mdevs:
            mdev.remove()
        self.wrapper = []

    def leftovers(self):
        """What is there and should not be. Takes the module away."""
        left = [qemu.name for qemu in self.qemus if qemu.status is None]
        left += self.here.devices()
        self.here.unload_module()
        for host in self.others:
            # It may be gone before it has answered.
            with contextlib.suppress(OSError):
                host.end()
        return left

    def mdev(self, host=None, **attributes):
        mdev = Mdev(host or self.here, **attributes)
        self._mdevs.append(mdev)
        return mdev

    def boot_two(self, mdevs, ram_mib):
        """A guest with two devices, seen as two: the program is there once for each."""
        guest, other = Guest(self.loop), Guest(self.loop)
        guest.boot = self._command_line(ram_mib, linux=True)
        guest.other = other
        self._add_second(guest, self._qemu(mdevs[0], guest, second=mdevs[1]))
        for each in guest, other:
            each.pages = int(each.wait(r"ready (\d+)")[1])
        return guest, other

    def move_two(self, guest, mdevs, **options):
        move = Move(self.loop, guest.vmm, **options)
        destination = self._qemu(mdevs[0], guest, incoming=True, second=mdevs[1])
        self.loop.watch_bytes(destination.second.control, guest.other.feed)
        left = guest.vmm.second.mdev
        move.run(guest, destination)
        guest.other.vmm = destination.second
        move.second_bytes = sum(left.numbers("pass_bytes")), left.number("stopped_bytes")
        left.remove()
        return move

    def _add_second(self, guest, vmm):
        guest.vmm = vmm
        guest.other.vmm = vmm.second
        self.loop.watch_bytes(vmm.second.control, guest.other.feed)

    def boot(self, mdev, ram_mib, linux=True, intx=False, words="", more=()):
        """A guest with the device: Linux and stamp.c, or the BIOS and nothing.

        words: for Linux's command line
        more: for QEMU's
        """
        guest = Guest(self.loop) if linux else Unattended(self.loop)
        guest.boot = [*self._command_line(ram_mib, linux, intx, words), *more]
        guest.vmm = self._qemu(mdev, guest)
        if linux:
            guest.pages = int(guest.wait(r"ready (\d+)")[1])
        return guest

    def move(self, guest, mdev, **options):
        """Move the guest to a new QEMU with that device."""
        move = Move(self.loop, guest.vmm, **options)
        move.run(guest, self._qemu(mdev, guest, incoming=True))
        return move

    def failing(self, guest, mdev, **options):
        """Move the guest to a new QEMU with that device, which fails; give the reason."""
        destination = self.waiting(guest, mdev)
        destination.may_fail()
        try:
            Move(self.loop, guest.vmm, **options).run(guest, destination)
        except Failed as error:
            destination.kill()
            mdev.remove()
            return str(error)
        raise AssertionError("it did not fail")

    def attempt(self, guest, mdev, **options):
        """Begin to move the guest to a new QEMU with that device, and end halfway."""
        attempt = Attempt(self.loop, guest.vmm, **options)
        attempt.run(self.waiting(guest, mdev))
        return attempt

    def load(self, mdev, ram_mib, uri, more=()):
        """A guest that comes from there, to run or to stay paused as it was."""
        guest = Guest(self.loop)
        guest.boot = self._command_line(ram_mib, linux=True)
        guest.vmm = self._qemu(mdev, guest, incoming=True, more=more)
        guest.vmm.load(uri)
        return guest

    def waiting(self, guest, mdev):
        """A QEMU that such a guest could come to."""
        nowhere = Guest(self.loop)
        nowhere.boot = guest.boot
        return self._qemu(mdev, nowhere, incoming=True)

    def preparing(self, guest, mdev, more):
        """A QEMU that the guest comes to, and whose monitor does not answer before."""
        return self._qemu(mdev, guest, more=more, answers=False)

    def not_loaded(self, mdev, ram_mib, uri):
        """A QEMU that is given this, and ends; its status and its output."""
        nobody = Guest(self.loop)
        nobody.boot = self._command_line(ram_mib, linux=True)
        qemu = self._qemu(mdev, nobody, incoming=True)
        qemu.may_fail()
        qemu.qmp.command("migrate-incoming", uri=uri)
        ended = qemu.wait_for_exit()
        mdev.remove()
        return ended

    def refused(self, guest, mdev, **options):
        """Move the guest to a new QEMU with that device, which must not get it."""
        refusal = Refusal(self.loop, guest.vmm, **options)
        refusal.run(self.waiting(guest, mdev))
        return refusal

    def killed(self, guest, mdev, victim, after, bandwidth):
        """Begin to move the guest, and kill one side; tell where it is then."""
        killed = Killed(self.loop, guest, bandwidth)
        killed.run(self._qemu(mdev, guest, incoming=True), victim, after)
        return killed

    def end(self, guest):
        """Power off."""
        guest.vmm.quit(self.loop)
        guest.vmm.mdev.remove()
        if guest.vmm.second:
            guest.vmm.second.mdev.remove()

    def _command_line(self, ram_mib, linux, intx=False, words=""):
        command = [*self._boot, "-m", str(ram_mib)]
        intx = intx or self.intx
        if linux:
            words = [LINUX, words, "options=intx=1" if intx else ""]
            command += [*self._linux, "-append", " ".join(filter(None, words))]
        if intx:
            command += [word for each in INTX for word in ("-global", each)]
        return command

    def make_disk(self, path):
        """A disk that snapshots can be kept in."""
        command = ["qemu-img", "create", "-q", "-f", "qcow2", path, "1G"]
        subprocess.run(command, check=True)

    def make_stamped_disk(self, path):
        """A disk for Guest.read_disk(), made by the program that checks it."""
        subprocess.run([self._program, path], check=True)

    def _qemu(self, mdev, guest, incoming=False, more=(), second=None, answers=True):
        name = f"qemu-{len(self.qemus) + 1}"
        qemu = Qemu(
            name, self._logs, self.protocol, mdev, guest.boot, incoming, more, second, self.wrapper
        )
        self.qemus.append(qemu)
        qemu.start(self.loop, guest.feed, answers)
        return qemu
