# SPDX-License-Identifier: GPL-2.0-only
"""The domain of a guest with a device: the XML of README.md, with the rest filled in."""

import pathlib
import re

from libvirtd import CONTROL, MACHINE
from usual import RAM_MIB

TOP = pathlib.Path(__file__).parents[2]
README = TOP / "README.md"
PAGE = TOP / "Documentation" / "libvirt.rst"
NAME = "guest"
BANDWIDTH_MIBS = 2
PATIENT_MS = 1  # no switchover while the guest writes
READY_MS = 10000
MIGRATION = "unix:///srv/migration"

MACHINE_XML = """
  <name>{name}</name>
  <memory unit='MiB'>{ram_mib}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    {boot}
  </os>
  <features><acpi/><apic/></features>
  <cpu mode='host-passthrough'/>
  <on_reboot>destroy</on_reboot>
"""

LINUX_XML = "<kernel>{kernel}</kernel><initrd>{initrd}</initrd><cmdline>{arguments}</cmdline>"

DEVICES_XML = f"""
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <serial type='file'>
      <source path='/var/log/libvirt/console' append='on'/>
      <target port='0'/>
    </serial>
    <serial type='unix'>
      <source mode='connect' path='{CONTROL}'/>
      <target port='1'/>
    </serial>
"""

PROPERTY = re.compile(r"<qemu:property name='([a-z-]+)' .*?/>")
UUID = re.compile(r"(?<=<address uuid=')[0-9a-f-]{36}(?='/>)")


def in_readme(marker):
    """The code block below a marker of README.md."""
    return re.search(rf"<!-- {marker} -->\n```\w+\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)[1]


def with_device(text, uuid):
    """A domain's XML with that device instead of the one it has."""
    text, count = UUID.subn(uuid, text)
    assert count == 1, f"{count} devices in the XML of one"
    return text


def properties():
    """XML for the options that let QEMU migrate, by the option's name, as the page has them."""
    return {match[1]: match[0] for match in PROPERTY.finditer(PAGE.read_text())}


def domain_xml(option, uuid, kernel=None, initrd=None, arguments=""):
    """option: XML for QEMU's option, "" for none; without a kernel the BIOS is all"""
    boot = ""
    if kernel:
        boot = LINUX_XML.format(kernel=f"{MACHINE}{kernel}", initrd=f"{MACHINE}{initrd}", arguments=arguments)
    text = with_device(in_readme("libvirt"), uuid)
    assert PROPERTY.search(text)[0] in properties().values(), "README.md and the page differ"
    if option:
        text = PROPERTY.sub(option, text)
    else:
        text = re.sub(r"  <qemu:override>.*</qemu:override>\n", "", text, flags=re.DOTALL)
    for rest in MACHINE_XML.format(name=NAME, ram_mib=RAM_MIB, boot=boot), DEVICES_XML:
        assert re.search(r"^ +\.\.\.$", text, re.MULTILINE), "README.md leaves nothing to fill in"
        text = re.sub(r"^ +\.\.\.$", lambda _, rest=rest: rest, text, count=1, flags=re.MULTILINE)
    return text


class Domain:
    """A domain, on the host where it runs now."""

    def __init__(self, loop, host, mdev, xml, feed):
        self.host = host
        self.mdev = mdev
        self._loop = loop
        self._feed = feed
        host.write("/run/domain.xml", xml)
        host.virsh("define", "/run/domain.xml")
        host.listen()
        host.virsh("start", NAME)
        host.accept(feed)

    @property
    def control(self):
        return self.host.control

    def state(self):
        return self.host.virsh("domstate", NAME)

    def begin(self, there, uuid):
        """Begin to migrate; uuid: of the device there, None to leave the domain's XML as it is."""
        command = ["migrate", "--live", "--persistent", "--undefinesource"]
        if uuid:
            xml = with_device(self.host.virsh("dumpxml", "--migratable", NAME), uuid)
            self.host.write("/run/there.xml", xml)
            command += ["--xml", "/run/there.xml", "--persistent-xml", "/run/there.xml"]
        command += ["--bandwidth", BANDWIDTH_MIBS, NAME, there.remote_uri, MIGRATION]
        there.listen()
        return self.host.begin(*command)

    def migrate(self, there, mdev, passes):
        """Migrate to that host and device, in so many passes at least; return the device left."""
        self.host.virsh("migrate-setmaxdowntime", NAME, PATIENT_MS)
        job, left = self.begin(there, mdev.uuid), self.mdev
        self._loop.until_looked(
            lambda: job.status is not None or left.number("passes") > passes, f"{passes} passes"
        )
        # Where the guest gets less of the processor, it may have left by itself.
        self.host.begin("migrate-setmaxdowntime", NAME, READY_MS).wait()
        job.wait()
        assert job.status == 0, f"virsh migrate: {job.output}"
        there.accept(self._feed)
        self.host, self.mdev = there, mdev
        return left

    def refused(self, there, uuid):
        """Migrate, which must fail; what virsh prints."""
        job = self.begin(there, uuid)
        job.wait()
        assert job.status, "virsh migrate succeeded"
        return job.output

    def end(self):
        self.host.virsh("destroy", NAME)
        self.host.virsh("undefine", NAME)
        self.mdev.remove()
