#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Live migration by libvirt, between two libvirtd of one machine.

Runs as root where KVM is; scripts/check-libvirt.sh runs it in a VM. Prints TAP.
"""

import pathlib
import re
import subprocess
import sys
import uuid

from checks import check_goes_on, check_sabotage, check_verdict, equal
from domain import NAME, Domain, domain_xml, properties
from host import Here
from lab import LINUX, arguments
from libvirtd import Libvirtd, VirshError
from loop import Loop
from mdev import Mdev
from tap import Tap
from usual import MEMORY, SNAPSHOT, most
from vmm import Guest

ROUNDS = 2  # there and back
PASSES = 3
# More than Domain's bandwidth; and less than usual, for libvirt needs the processor, too.
LOAD = {"working_set": 256, "rate": 1000, "dma": 4}
LIGHT_LOAD = {"working_set": 256, "rate": 50, "dma": 1}
TESTS = 9 + 2 * ROUNDS

OPTIONS = {"7": "x-enable-migration", "10": "enable-migration"}  # by QEMU's major version

DEVICE_XML = """
<device>
  <parent>{parent}</parent>
  <capability type='mdev'><type id='tern-mem'/></capability>
</device>
"""


class Lab:
    """Two hosts, and what was made on them."""

    def __init__(self, args):
        self.loop = Loop()
        self.here = Here()
        self.here.load_module(args.module)
        self._mdevs = []
        self._linux = {"kernel": args.kernel, "initrd": args.initrd, "arguments": LINUX}
        # It reports a new device to libvirtd.
        subprocess.check_call(["/lib/systemd/systemd-udevd", "--daemon"])
        logs = pathlib.Path(args.logs)
        self.hosts = [Libvirtd(self.loop, name, args.root, logs) for name in ("a", "b")]
        self.version = self.hosts[0].virsh("version")
        self.option = properties()[OPTIONS[re.search(r"hypervisor: QEMU (\d+)", self.version)[1]]]

    def mdev(self, **attributes):
        mdev = Mdev(self.here, **attributes)
        self._mdevs.append(mdev)
        return mdev

    def boot(self, mdev):
        """A guest with the device: Linux and stamp.c."""
        guest = Guest(self.loop)
        xml = domain_xml(self.option, mdev.uuid, **self._linux)
        guest.vmm = Domain(self.loop, self.hosts[0], mdev, xml, guest.feed)
        guest.pages = int(guest.wait(r"ready (\d+)")[1])
        return guest

    def without_option(self, mdev):
        """A domain with the device and nothing but the BIOS."""
        return Domain(self.loop, self.hosts[0], mdev, domain_xml("", mdev.uuid), lambda data: None)

    def clear(self):
        """End what is still there; after a good run that is nothing."""
        for host in self.hosts:
            for name in host.virsh("list", "--name").split():
                host.virsh("destroy", name)
        for mdev in self._mdevs:
            mdev.remove()

    def leftovers(self):
        """What is there and should not be. Ends the hosts."""
        left = [name for host in self.hosts for name in host.virsh("list", "--all", "--name").split()]
        left += self.here.devices()
        left += [f"libvirtd: status {status}" for host in self.hosts if (status := host.stop())]
        subprocess.check_call(["udevadm", "control", "--exit"])
        self.here.unload_module()
        return left


def check_nodedev(tap, lab):
    """What virsh lists of a device, and what it does not."""
    mdev, host = lab.mdev(**MEMORY), lab.hosts[0]
    name = f"mdev_{mdev.uuid.replace('-', '_')}_tern"
    lab.loop.until_looked(lambda: host.virsh("nodedev-list", "--cap", "mdev") == name, name)
    text = host.virsh("nodedev-dumpxml", name)
    tap.note(text)
    for there in "<parent>computer</parent>", "<type id='tern-mem'/>", f"<uuid>{mdev.uuid}</uuid>":
        assert there in text, f"nodedev-dumpxml lacks {there}"
    assert "memory_mib" not in text, "nodedev-dumpxml has attributes"
    mdev.remove()
    lab.loop.until_looked(lambda: not host.virsh("nodedev-list", "--cap", "mdev"), "its removal")
    equal(host.virsh("nodedev-list", "--cap", "mdev_types"), "", "parents of mdevs")


def check_nodedev_create(tap, lab):
    """By the parent that nodedev-dumpxml has, and by the one in sysfs."""
    host = lab.hosts[0]
    for parent in "computer", "tern":
        host.write("/run/device.xml", DEVICE_XML.format(parent=parent))
        try:
            host.virsh("nodedev-create", "/run/device.xml")
        except VirshError as error:
            tap.note(str(error))
        else:
            raise AssertionError(f"nodedev-create made a device of {parent}")
    equal(lab.here.devices(), [], "devices")


def check_refused(tap, domain, there, device, *words):
    output = domain.refused(there, device)
    tap.note(output)
    for word in words:
        assert word in output, f"virsh printed no {word!r}"
    equal(domain.state(), "running", "the domain on the source")
    equal(there.virsh("list", "--all", "--name"), "", "domains on the destination")


def check_moved(tap, lab, guest, there):
    """Migrate, under load."""
    here, stamps = guest.vmm.host, guest.stamps
    left = guest.vmm.migrate(there, lab.mdev(**MEMORY), PASSES)
    sent = left.numbers("pass_bytes"), left.number("stopped_bytes")
    tap.note(f"{left.number('passes')} passes of {sent[0]} bytes, stopped: {sent[1]} bytes")
    for line in there.virsh("domjobinfo", NAME, "--completed", "--rawstats").splitlines():
        if "downtime" in line:
            tap.note(line)
    assert left.number("passes") >= PASSES, f"{left.number('passes')} passes, not {PASSES}"
    assert sum(sent[0]) > SNAPSHOT, "so little of the device"
    equal(left.number("late_marks"), 0, "stores after the stop")
    assert guest.stamps > stamps, "the guest stamped nothing meanwhile"
    equal(guest.vmm.state(), "running", "the domain on the destination")
    equal(here.virsh("list", "--all", "--name"), "", "domains on the source")
    for which in (), ("--inactive",):
        xml = there.virsh("dumpxml", *which, NAME)
        assert guest.vmm.mdev.uuid in xml and left.uuid not in xml, f"dumpxml {which}: {xml}"
    left.remove()


def refusals(tap, lab, guest, there):
    with tap.test("a UUID that no device has: virsh reports it, and the guest continues"):
        nothing = str(uuid.uuid4())
        check_refused(tap, guest.vmm, there, nothing, f"mediated device '{nothing}' not found")
        check_goes_on(guest)
    tap.took("no device")
    with tap.test("without --xml: virsh reports it, and the guest continues"):
        check_refused(tap, guest.vmm, there, None, "Device or resource busy")
        check_goes_on(guest)
    tap.took("the source's device")
    with tap.test("a device of another size: virsh reports it, and the guest continues"):
        other = lab.mdev(**{**MEMORY, "memory_mib": 2 * MEMORY["memory_mib"]})
        check_refused(tap, guest.vmm, there, other.uuid, "Numerical result out of range")
        other.remove()
        check_goes_on(guest)
    tap.took("another size")


def to_and_fro(tap, lab):
    guest = lab.boot(lab.mdev(**MEMORY))
    tap.took("a guest boots")
    guest.fill(most(guest.pages))
    guest.load(**LOAD)
    for n in range(1, ROUNDS + 1):
        with tap.test(f"migration {n} by virsh: the device has its passes, and no domain is left behind"):
            check_moved(tap, lab, guest, lab.hosts[n % 2])
        with tap.test(f"migration {n} by virsh: every page has the expected contents"):
            check_verdict(guest.verify(), guest.pages)
            check_goes_on(guest)
        tap.took(f"migration {n}")
    with tap.test("the QEMUs of these migrations printed nothing"):
        said = [line for host in lab.hosts for line in host.complaints(NAME)]
        assert not said, "\n".join(said)
    guest.load(**LIGHT_LOAD)
    refusals(tap, lab, guest, lab.hosts[(ROUNDS + 1) % 2])
    with tap.test("pages corrupted on purpose are reported, each by its name"):
        check_sabotage(guest)
    guest.vmm.end()


def main():
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--root", required=True, help="a system with libvirt")
    args = parser.parse_args()
    tap = Tap(TESTS)
    lab = Lab(args)
    tap.note(lab.version)
    tap.took("two libvirtd start")
    with tap.scenario(lab, TESTS):
        with tap.test("nodedev-list has the device, and no parent of it"):
            check_nodedev(tap, lab)
        with tap.test("nodedev-create cannot create a device"):
            check_nodedev_create(tap, lab)
        tap.took("nodedev-list")
        with tap.test("without the option of QEMU: virsh reports it, and the domain continues"):
            domain, other = lab.without_option(lab.mdev(**MEMORY)), lab.mdev(**MEMORY)
            check_refused(tap, domain, lab.hosts[1], other.uuid, "VFIO device doesn't support")
            domain.end()
            other.remove()
        tap.took("a domain without the option")
        to_and_fro(tap, lab)
        with tap.test("no domain, process or device is left, and the module can be unloaded"):
            equal(lab.leftovers(), [], "left")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
