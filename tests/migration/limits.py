# SPDX-License-Identifier: GPL-2.0-only
"""What Documentation/limits.rst states of QEMU 7.2, 10.0 and 11.1."""

import json
import pathlib
import signal
import subprocess
import tempfile

from checks import check_bytes, check_goes_on, check_load, check_pages, equal
from migration import Failed, Migration
from qmp import QmpError
from tamper import Saved
from usual import BANDWIDTH, FAST, LOAD, MEMORY, RAM_MIB, SNAPSHOT, most
from vmm import Unexpected

DOWNTIME_MS = 1000
MAPPED = "vfio_iommu_map_notify"
VIOMMU = ("-machine", "q35", "-device", "intel-iommu,caching-mode=on")
UNSUPPORTED = "VFIO migration is not supported"
SHARED_RAM = (
    *("-object", f"memory-backend-memfd,id=ram,share=on,size={RAM_MIB}M"),
    *("-machine", "memory-backend=ram,aux-ram-share=on"),
)


def count(protocol):
    return 4 if protocol.name == "v2" and protocol.version == "10.0" else 5


def ended(tap, status, output):
    """How a QEMU ended: by a signal's name, or by its status."""
    end = signal.Signals(-status).name if status < 0 else f"status {status}"
    tap.note(f"QEMU ended: {end}; it printed: {output.strip() or 'nothing'}")
    return end


def refused(tap, command, *words):
    """The command must be refused, or the migration that it begins, for that reason."""
    try:
        command()
    except (QmpError, Failed) as error:
        tap.note(str(error))
        assert all(word in str(error) for word in words), f"not in the reason: {words}"
    else:
        raise AssertionError("QEMU did not refuse it")


def channel(folder, kind):
    """A channel of a migration, by the name that QEMU has for its kind."""
    address = {"transport": "socket", "type": "unix", "path": f"{folder}/{kind}"}
    return {"channel-type": kind, "addr": address}


def boot(lab, more=(), words=""):
    guest = lab.boot(lab.mdev(**MEMORY), RAM_MIB, words=words, more=more)
    guest.fill(most(guest.pages))
    guest.load(**LOAD)
    guest.goes_on()
    return guest


def background_snapshot_is_incomplete(tap, lab, guest, folder):
    path = folder / "snapshot"
    migration = Migration(lab.loop, guest.vmm, return_path=False, background_snapshot=True)
    migration.limit(FAST, DOWNTIME_MS)
    migration.begin(f"exec:cat >{path}.new && mv {path}.new {path}")
    lab.loop.until_looked(lambda: migration.completed() and path.exists(), "the file")
    equal(Saved(path).records(), 0, "records of the device in the file")
    status, said = lab.not_loaded(lab.mdev(**MEMORY), RAM_MIB, f"exec:cat {path}")
    equal(ended(tap, status, said), "SIGSEGV", "the end of the QEMU that loads it")
    guest.vmm.until_status("running")
    check_goes_on(guest)
    lab.end(guest)


def post_copy_aborts(tap, lab, guest, folder):
    mdev = lab.mdev(**MEMORY)
    destination = lab.waiting(guest, mdev)
    uri = f"unix:{folder}/post-copy"
    migration = Migration(lab.loop, guest.vmm, destination, postcopy_ram=True)
    for vmm in guest.vmm, destination:
        vmm.may_fail()
    migration.limit(FAST, 1)
    migration.listen(uri)
    migration.begin(uri)
    lab.loop.until(lambda: migration.reported("active"), "the migration")
    guest.vmm.qmp.command("migrate-start-postcopy")
    lab.loop.until(migration.resumed, "the guest at the destination")
    status, said = destination.wait_for_exit()
    equal(ended(tap, status, said), "SIGABRT", "the end of the destination")
    guest.vmm.kill()
    for each in mdev, guest.vmm.mdev:
        each.remove()


def background_snapshot_is_refused(tap, lab, guest, folder):
    def snapshot():
        migration = Migration(lab.loop, guest.vmm, return_path=False, background_snapshot=True)
        migration.begin(f"exec:cat >{folder}/snapshot")
        lab.loop.until(migration.completed, "the snapshot")

    refused(tap, snapshot, UNSUPPORTED, "background snapshot")
    Migration(lab.loop, guest.vmm, return_path=False, background_snapshot=False)
    check_goes_on(guest)


def post_copy_is_refused(tap, lab, guest, folder):
    destination = lab.waiting(guest, lab.mdev(**MEMORY))
    destination.may_fail()

    def post_copy():
        migration = Migration(lab.loop, guest.vmm, destination, postcopy_ram=True)
        migration.listen(f"unix:{folder}/post-copy")
        migration.begin(f"unix:{folder}/post-copy")
        lab.loop.until(migration.completed, "the migration")

    refused(tap, post_copy, UNSUPPORTED, "postcopy")
    destination.kill()
    destination.mdev.remove()
    check_goes_on(guest)


def cpr_transfer_is_refused(tap, lab, folder):
    guest = boot(lab, SHARED_RAM)
    channels = [channel(folder, kind) for kind in ("main", "cpr")]
    guest.vmm.qmp.command("migrate-set-parameters", mode="cpr-transfer")
    refused(
        tap,
        lambda: guest.vmm.qmp.command("migrate", channels=channels),
        "CPR does not support vfio mdev",
    )
    guest.vmm.qmp.command("migrate-set-parameters", mode="normal")
    check_goes_on(guest)
    lab.end(guest)


def viommu_is_refused(tap, lab):
    mdev = lab.mdev(**MEMORY)
    try:
        lab.boot(mdev, RAM_MIB, linux=False, more=VIOMMU)
    except (QmpError, Unexpected):  # what notices it first
        qemu = lab.qemus[-1]
        qemu.may_fail()
        status, output = qemu.wait_for_exit()
        equal(ended(tap, status, output), "status 1", "the end of QEMU")
        assert "not supported with vIOMMU" in output, "the reason does not name it"
        assert mdev.uuid in output, "the reason does not name the device"
        mdev.remove()
    else:
        raise AssertionError("QEMU did not refuse it")


def viommu_migrates(tap, lab, translates):
    """If the guest does not use the IOMMU, the device's addresses are the guest's."""
    if translates:
        guest = boot(lab, (*VIOMMU, "-trace", MAPPED), "intel_iommu=on")
        mapped = guest.vmm.trace_text().count(MAPPED)
        tap.note(f"the guest has made or ended {mapped} mappings")
        assert mapped > 100, "it does not use its IOMMU"
    else:
        guest = boot(lab, VIOMMU)
    for passes in 2, 0:
        move = lab.move(guest, lab.mdev(**MEMORY), bandwidth=BANDWIDTH, passes=passes)
        check_load(move, passes)
        check_bytes(move)
        check_pages(guest, move)
        check_goes_on(guest)
    lab.end(guest)


def viommus_migrate(tap, lab, qemu):
    with tap.test(f"{qemu}: a device behind a virtual IOMMU migrates: no page is lost"):
        viommu_migrates(tap, lab, translates=False)
    with tap.test(f"{qemu}: a device whose guest uses its virtual IOMMU migrates: no page is lost"):
        viommu_migrates(tap, lab, translates=True)


def removal_aborts(tap, lab):
    """Of a device that -only-migratable refused."""
    guest = lab.boot(lab.mdev(**MEMORY), RAM_MIB, linux=False, more=["-only-migratable"])
    other, vmm = lab.mdev(**MEMORY), guest.vmm
    device = {"driver": "vfio-pci", "sysfsdev": str(other.path)}
    refused(tap, lambda: vmm.qmp.command("device_add", **device), "only-migratable")
    vmm.may_fail()
    remover = subprocess.Popen(["sh", "-c", f"echo 1 >{other.path}/remove"])
    status, said = vmm.wait_for_exit()
    equal(ended(tap, status, said), "SIGABRT", "the end of QEMU")
    equal(remover.wait(), 0, "status of the removal")
    vmm.mdev.remove()


def cpr_transfer_is_whole(tap, lab, folder):
    """The guest's memory stays where it is; the device migrates as ever."""
    guest = boot(lab, SHARED_RAM)
    source, (main, cpr) = guest.vmm, (channel(folder, kind) for kind in ("main", "cpr"))
    incoming = ["-incoming", f"unix:{main['addr']['path']}", "-incoming", json.dumps(cpr)]
    destination = lab.preparing(guest, lab.mdev(**MEMORY), incoming)
    lab.loop.until_looked(pathlib.Path(cpr["addr"]["path"]).exists, "the channel for cpr")
    migration = Migration(lab.loop, source, return_path=False)
    source.qmp.command("migrate-set-parameters", mode="cpr-transfer")
    source.qmp.command("migrate", channels=[main, cpr])
    lab.loop.until(migration.completed, "the migration")
    destination.qmp.start()
    destination.until_status("running")
    guest.vmm = destination
    sent = source.mdev.number("stopped_bytes") + sum(source.mdev.numbers("pass_bytes"))
    tap.note(f"{sent} bytes of the device")
    assert sent > SNAPSHOT, "so little of the device"
    source.quit(lab.loop)
    source.mdev.remove()
    check_goes_on(guest)
    lab.end(guest)


def limits_v1(tap, lab, folder):
    with tap.test("QEMU 7.2: background-snapshot completes, and its file lacks the device"):
        background_snapshot_is_incomplete(tap, lab, boot(lab), folder)
    with tap.test("QEMU 7.2: post-copy starts the guest on the destination, then QEMU aborts"):
        post_copy_aborts(tap, lab, boot(lab), folder)
    with tap.test("QEMU 7.2: removing an mdev that -only-migratable refused aborts QEMU"):
        removal_aborts(tap, lab)
    viommus_migrate(tap, lab, "QEMU 7.2")


def limits_v2(tap, lab, folder):
    qemu = f"QEMU {lab.protocol.version}"
    guest = boot(lab)
    with tap.test(f"{qemu}: background-snapshot is refused, with the reason"):
        background_snapshot_is_refused(tap, lab, guest, folder)
    with tap.test(f"{qemu}: post-copy is refused, with the reason"):
        post_copy_is_refused(tap, lab, guest, folder)
    lab.end(guest)
    if qemu == "QEMU 10.0":
        with tap.test(f"{qemu}: cpr-transfer of a guest with shared memory: no page is lost"):
            cpr_transfer_is_whole(tap, lab, folder)
        with tap.test(f"{qemu}: a device behind a virtual IOMMU is refused, with the reason"):
            viommu_is_refused(tap, lab)
        return
    with tap.test(f"{qemu}: cpr-transfer is refused, with the reason"):
        cpr_transfer_is_refused(tap, lab, folder)
    viommus_migrate(tap, lab, qemu)


def limits(tap, lab):
    with tempfile.TemporaryDirectory() as folder:
        both = {"v1": limits_v1, "v2": limits_v2}
        both[lab.protocol.name](tap, lab, pathlib.Path(folder))
