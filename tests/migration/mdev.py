# SPDX-License-Identifier: GPL-2.0-only
"""Tern as root sees it in sysfs: the module and its devices."""

import pathlib
import subprocess
import uuid

TYPE = pathlib.Path("/sys/class/mdev_bus/tern/mdev_supported_types/tern-mem")
DEVICES = pathlib.Path("/sys/bus/mdev/devices")


def load_module(path):
    depends = subprocess.check_output(["modinfo", "-F", "depends", path], text=True)
    modules = [name for name in depends.strip().split(",") if name]
    subprocess.check_call(["modprobe", "-a", "vfio_iommu_type1", *modules])
    subprocess.check_call(["insmod", path])


def unload_module():
    subprocess.check_call(["rmmod", "tern"])


class Mdev:
    """A tern-mem device, from its creation to its removal."""

    def __init__(self, **attributes):
        self.uuid = str(uuid.uuid4())
        self.path = DEVICES / self.uuid
        (TYPE / "create").write_text(self.uuid)
        for name, value in attributes.items():
            (self.path / "tern" / name).write_text(str(value))

    def read(self, name):
        return (self.path / "tern" / name).read_text().strip()

    def number(self, name):
        return int(self.read(name))

    def numbers(self, name):
        return [int(word) for word in self.read(name).split()]

    def remove(self):
        if self.path.exists():
            (self.path / "remove").write_text("1")
