# SPDX-License-Identifier: GPL-2.0-only
"""A stream that is kept in a file, and loaded after the machine has booted again."""

import json
import pathlib
import subprocess

from checks import check_goes_on, check_verdict, equal
from usual import LOAD, MIB, RAM_MIB, most

DOWNTIME_MS = 1000
WINDOW_KIB = 1024
PAUSED_MS = 10000  # QEMU 10.0 has a device that is stopped send its all in that time
BOOT_ID = pathlib.Path("/proc/sys/kernel/random/boot_id")
FACTS = "facts.json"
TOOL = "build/tools-static/tern"  # of scripts/build-tool.sh
SAVE_TESTS = 3
LOAD_TESTS = 3


def device(lab):
    return lab.mdev(memory_mib=lab.machine.memory_mib, window_kib=WINDOW_KIB)


def save_all(tap, lab, folder):
    """Two files: of the guest as it ran, and of the same guest, paused."""
    folder.mkdir()
    guest = lab.boot(device(lab), RAM_MIB)
    guest.fill(most(guest.pages))
    guest.load(**{**LOAD, "working_set": 1024})
    tap.took(f"a guest with {lab.machine.memory_mib} MiB boots")
    facts = {"boot": BOOT_ID.read_text(), "pages": guest.pages}
    with tap.test("W-5 a running guest is saved to a file"):
        facts["running"] = save(tap, lab, guest, folder / "running", "running-saving", DOWNTIME_MS)
    with tap.test("V1-30 the saved guest continues on the source"):
        guest.vmm.qmp.command("cont")
        equal(guest.vmm.mdev.read("state"), "running", "the device's state")
        check_goes_on(guest)
    guest.vmm.qmp.command("stop")
    with tap.test("P-35 a paused guest is saved to a file"):
        equal(guest.vmm.mdev.read("state"), "stopped", "the paused device's state")
        facts["paused"] = save(tap, lab, guest, folder / "paused", "stopped-saving", PAUSED_MS)
        equal(guest.vmm.mdev.number("passes"), 0, "passes of a device that was stopped")
    lab.end(guest)
    (folder / FACTS).write_text(json.dumps(facts))
    tap.took("two files")


def save(tap, lab, guest, path, state, downtime_ms):
    """Have QEMU write the stream to that file; give what must be true of it."""
    vmm = guest.vmm
    seen = set()
    vmm.save(path, downtime_ms, lambda: seen.add(vmm.mdev.read("state")))
    assert state in seen, f"the device was never {state}, but {seen}"
    equal(vmm.mdev.read("state"), "stopped", "the device, after all")
    size = path.stat().st_size
    given = sum(vmm.mdev.numbers("pass_bytes")) + vmm.mdev.number("stopped_bytes")
    tap.note(f"{path.name}: {size} bytes, {given} of them the device's")
    filled = most(lab.machine.memory_mib * MIB)
    assert size > given > filled, f"{given} bytes of the device in a file of {size}"
    check_decoded(path, given)
    return {"stamps": guest.stamps, "size": size}


def check_decoded(path, given):
    """tern(8) finds all bytes of the device in QEMU's file, and no fault."""
    done = subprocess.run([TOOL, "decode", "--verify", "--json", path], check=False,
                          capture_output=True, text=True)
    equal(done.stderr, "", "what tern decode reports")
    found = json.loads(done.stdout)
    equal((found["format"], found["bytes"], found["whole"]), ("qemu", given, True), "tern decode")


def load_all(tap, lab, folder):
    facts = json.loads((folder / FACTS).read_text())
    with tap.test("W-5 the VM that loads is another boot than the one that saved"):
        assert BOOT_ID.read_text() != facts["boot"], "the machine that saved is this one"
    with tap.test("W-5 loaded from a file in a fresh VM: every page has the expected contents"):
        load(tap, lab, folder / "running", facts["pages"], facts["running"], paused=False)
    with tap.test("P-35 the paused guest, loaded in a fresh VM: every page has the expected contents"):
        load(tap, lab, folder / "paused", facts["pages"], facts["paused"], paused=True)
    tap.took("two guests are loaded")


def load(tap, lab, path, pages, fact, paused):
    equal(path.stat().st_size, fact["size"], "size of the file")
    guest = lab.load(device(lab), RAM_MIB, f"exec:cat {path}")
    if paused:
        equal(guest.vmm.qmp.command("query-status")["status"], "paused", "the guest")
        equal(guest.vmm.mdev.read("state"), "resuming", "the device, before it runs")
        guest.vmm.qmp.command("cont")
    verdict = guest.verify()
    check_verdict(verdict, pages)
    guest.pages = pages
    assert verdict.stamps >= fact["stamps"], f"{verdict.stamps} stamps, {fact['stamps']} at the save"
    tap.note(f"{path.name}: {verdict.stamps} stamps, {fact['stamps']} or more when it was saved")
    equal(guest.vmm.mdev.read("state"), "running", "the device's state")
    check_goes_on(guest)
    lab.end(guest)
