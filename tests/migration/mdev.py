# SPDX-License-Identifier: GPL-2.0-only
"""A device as root sees it in sysfs."""

import pathlib
import uuid

from host import DEVICES

TYPE = pathlib.Path("/sys/class/mdev_bus/tern/mdev_supported_types/tern-mem")


class Mdev:
    """A tern-mem device, from its creation to its removal."""

    excused = ()  # what a QEMU may say of it

    def __init__(self, host, **attributes):
        self.host = host
        self.uuid = str(uuid.uuid4())
        self.path = DEVICES / self.uuid
        host.write(str(TYPE / "create"), self.uuid)
        for name, value in attributes.items():
            self.write(name, value)

    def options(self, protocol):
        """Of a QEMU that gets it."""
        return ["-device", f"vfio-pci,sysfsdev={self.path},{protocol.option}"]

    def read(self, name, folder="tern"):
        return self.host.read(str(self.path / folder / name)).strip()

    def write(self, name, value, folder="tern"):
        self.host.write(str(self.path / folder / name), str(value))

    def number(self, name):
        return int(self.read(name))

    def numbers(self, name):
        return [int(word) for word in self.read(name).split()]

    def exists(self):
        return self.host.exists(str(self.path))

    def remove(self):
        if self.exists():
            self.host.write(str(self.path / "remove"), "1")
