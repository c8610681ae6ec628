#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Reproduce a crash of QEMU that Documentation/qemu-msix.rst reports. Tern is not in it.

    qemu_msix.py QEMU... LAST

Each QEMU but the last one crashes. They get a physical device with MSI-X,
QEMU's "nvme" (vm.sh --physical), and have no KVM and no guest: over the qtest protocol this
program does what a guest's driver does. It unmasks vector 1, leaves vector 0 masked, and
enables MSI-X.
"""

import pathlib
import signal
import subprocess
import sys

NVME = "1b36 0010"

SLOT = 4
BAR0 = 0xE0000000
COMMAND, BARS, FIRST_CAPABILITY = 0x04, 0x10, 0x34
MSIX = 0x11


class Guest:
    """The ports and the memory of a machine, over qtest."""

    def __init__(self, qemu, address):
        self._qemu = subprocess.Popen(
            [qemu, "-machine", "q35", "-accel", "tcg", "-S", "-nodefaults", "-display", "none",
             "-qtest", "stdio", "-qtest-log", "none", "-device", f"vfio-pci,host={address},addr={SLOT:#x}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def do(self, *words):
        """One command, and what it returns. EOFError: QEMU is gone."""
        self._qemu.stdin.write(" ".join(words) + "\n")
        self._qemu.stdin.flush()
        answer = self._qemu.stdout.readline().split()
        if not answer:
            raise EOFError
        assert answer[0] == "OK", answer
        return int(answer[1], 16) if len(answer) > 1 else None

    def _select(self, offset):
        self.do("outl", "0xcf8", hex(1 << 31 | SLOT << 11 | offset & ~3))

    def read(self, offset, size="w"):
        self._select(offset)
        return self.do("in" + size, hex(0xCFC + offset % 4))

    def write(self, offset, value, size="w"):
        self._select(offset)
        self.do("out" + size, hex(0xCFC + offset % 4), hex(value))

    def end(self):
        """Ask QEMU to end, unless it has already. Its status."""
        self._qemu.terminate()
        return self._qemu.wait()


def capability(guest, wanted):
    at = guest.read(FIRST_CAPABILITY, "b")
    while guest.read(at, "b") != wanted:
        at = guest.read(at + 1, "b")
        assert at, "the device has no such capability"
    return at


def enable_msix(guest):
    guest.write(BARS, BAR0, "l")
    guest.write(COMMAND, 2)
    msix = capability(guest, MSIX)
    table = guest.read(msix + 4, "l")
    assert table % 8 == 0, "the table is not in BAR0"
    guest.do("writel", hex(BAR0 + table + 16 + 12), "0")  # vector 1: not masked
    guest.write(msix + 2, guest.read(msix + 2) | 1 << 15)
    guest.read(msix + 2)


def bind():
    """Give the device to vfio-pci. Its address."""
    subprocess.check_call(["modprobe", "vfio-pci"])
    pathlib.Path("/sys/bus/pci/drivers/vfio-pci/new_id").write_text(NVME)
    return next(pathlib.Path("/sys/bus/pci/drivers/vfio-pci").glob("*:*:*.*")).name


def status(qemu, address):
    guest = Guest(qemu, address)
    try:
        enable_msix(guest)
    except EOFError:
        return guest.end() or "an early end"
    return guest.end()


def main():
    address = bind()
    *_, last = qemus = sys.argv[1:]
    print(f"1..{len(qemus)}")
    for qemu in qemus:
        ends = 0 if qemu == last else -signal.SIGSEGV
        found = status(qemu, address)
        version = subprocess.check_output([qemu, "--version"], text=True).split()[3]
        print("ok" if found == ends else "not ok",
              f"- MSI-X without KVM, vector 0 masked, vector 1 not: QEMU {version} ends with {found}")


if __name__ == "__main__":
    main()
