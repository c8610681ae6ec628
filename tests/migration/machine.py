# SPDX-License-Identifier: GPL-2.0-only
"""What a QEMU and its device run on: KVM and type1, or no more than iommufd."""

import dataclasses
import pathlib

KALLSYMS = pathlib.Path("/proc/kallsyms")


@dataclasses.dataclass(frozen=True)
class Machine:
    """What of a QEMU's command line depends on the kernel that it runs on.

    vmm: options of QEMU's own
    device: of the vfio-pci device, beside those of the protocol
    migrates: whether QEMU needs an option to migrate although only the container logs DMA
    kvm: the guest's processor and its interrupts are KVM's
    memory_mib: of a device where a scenario has a large one
    """

    vmm: tuple
    device: str
    migrates: bool
    kvm: bool
    memory_mib: int


KVM = Machine(("-accel", "kvm", "-cpu", "host"), "", True, True, 64)

# User Mode Linux: no KVM, so that the guest is emulated, and slow; the device's cdev, and
# its log of DMA.
IOMMUFD = Machine(
    ("-accel", "tcg,thread=single", "-cpu", "max", "-object", "iommufd,id=iommufd0"),
    ",iommufd=iommufd0",
    False,
    False,
    16,
)


def logs_dma():
    """Whether a device can log what it writes: the kernel has what it reports it by."""
    return any(line.split()[2] == "iova_bitmap_set" for line in KALLSYMS.read_text().splitlines())
