# SPDX-License-Identifier: GPL-2.0-only
"""What a QEMU makes of each rule of injection: the table of Documentation/vmm.rst.

No guest takes part: the device dirties its memory, and verifies it. A test passes if the
machine runs in one place afterwards, with each page as expected. Where a QEMU is known to
do worse, it must do just that. Each result is also a line "# situation", which
scripts/vmm.py puts into the table.
"""

import dataclasses
import json
import pathlib
import re
import signal
import tempfile

from checks import equal
from loop import Timeout
from migration import Migration
from qmp import QmpError
from usual import FAST, MEMORY
from vmm import Unexpected

RAM_MIB = 64
WORKLOAD = {"set_mib": 8, "pattern": "permuted", "seed": 1}
MIBS = 8
DOWNTIME_MS = 10000
END_SECONDS = 40  # a migration that has not ended then will not
ANSWER_SECONDS = 20  # the longest delay is 2 s

SOURCE, DESTINATION = "source", "destination"
WHOLE = "whole"
FEATURES = "v1", "v2", "stop_copy", "p2p", "precopy", "dma_log", "data_size", "precopy_info2"


def without(*withheld):
    """A rule of features that offers all but these."""
    return " ".join(word for word in FEATURES if word not in withheld)


@dataclasses.dataclass(frozen=True)
class Situation:
    """Rules of one side's device, and the protocol that they apply to."""

    side: str
    rules: tuple
    protocol: str = ""  # both

    @property
    def title(self):
        if self.at_open:
            missing = [word for word in FEATURES if word not in self.rules[0][1].split()]
            return f"{self.side}: features without {' '.join(missing)}"
        rules = ", ".join(f"{name} {value}" for name, value in self.rules)
        return f"{self.side}: {rules}"

    @property
    def at_open(self):
        """Whether the rules apply to the next open."""
        return self.rules[0][0] == "features"


def situations(protocol):
    rules = [
        (SOURCE, "state", "running-saving 5 1", "both"),
        (SOURCE, "state", "stopped-saving 5 1", "both"),
        (SOURCE, "state", "error 5 1", "both"),
        (SOURCE, "state_delay", "running-saving 2000", "both"),
        (SOURCE, "state_delay", "stopped-saving 2000", "both"),
        (SOURCE, "read", "0 5 1", "both"),
        (SOURCE, "read", "1048576 5 1", "both"),
        (SOURCE, "read_delay_us", "20000", "both"),
        (SOURCE, "read_mibs", "4", "both"),
        (SOURCE, "read_max", "100", "v2"),
        (SOURCE, "flip", "100000 3", "both"),
        (SOURCE, "cut", "1048576", "both"),
        (SOURCE, "pending", "zero", "both"),
        (SOURCE, "pending", "stuck", "both"),
        (SOURCE, "pending", "huge", "both"),
        (SOURCE, "initial", "zero", "v2"),
        (SOURCE, "initial", "huge", "v2"),
        (SOURCE, "data_size", "zero", "v2"),
        (SOURCE, "data_size", "huge", "v2"),
        (SOURCE, "features", without("precopy"), "v2"),
        (SOURCE, "features", without("p2p"), "v2"),
        (SOURCE, "features", without("dma_log"), "v2"),
        (SOURCE, "features", without("data_size"), "v2"),
        (SOURCE, "features", without("precopy_info2"), "v2"),
        (SOURCE, "features", without("v1", "v2"), "both"),
        (DESTINATION, "state", "resuming 5 1", "both"),
        (DESTINATION, "state", "running 5 1", "both"),
        (DESTINATION, "state", "error 5 1", "both"),
        (DESTINATION, "state_delay", "resuming 2000", "both"),
        (DESTINATION, "state_delay", "running 2000", "both"),
        (DESTINATION, "write", "0 5 1", "both"),
        (DESTINATION, "write", "1048576 28 1", "both"),
        (DESTINATION, "write_delay_us", "20000", "both"),
        (DESTINATION, "write_mibs", "4", "both"),
        (DESTINATION, "features", without("v1", "v2"), "both"),
    ]
    found = [Situation(side, ((name, value),), only) for side, name, value, only in rules]
    # What fails once more when the source is to go on.
    found.append(Situation(SOURCE, (("read", "0 5 1"), ("state", "running 5 1")), "both"))
    return [each for each in found if each.protocol in ("both", protocol.name)]


# Where a QEMU does not leave the machine whole in one place: what it does instead, by its
# version and the situation. Documentation/vmm.rst shows how each comes about.
DEAD = "**completes, dead device**"
SEGFAULT = "**fails, destination: SIGSEGV**"
KNOWN = {
    ("7.2", "source: state error 5 1"): "**source: SIGABRT, runs nowhere**",
    ("7.2", "source: cut 1048576"): SEGFAULT,
    ("7.2", "source: pending zero"): SEGFAULT,
    ("7.2", "destination: state running 5 1"): SEGFAULT,
    ("7.2", "destination: state error 5 1"): "**fails, destination: SIGABRT**",
    ("10.0", "source: cut 1048576"): DEAD,
    ("10.0", "destination: state running 5 1"): DEAD,
    ("11.1", "source: cut 1048576"): DEAD,
    ("11.1", "destination: state running 5 1"): DEAD,
}


def count(protocol):
    return len(situations(protocol))


def end_of(vmm):
    """How a QEMU has ended."""
    return signal.Signals(-vmm.status).name if vmm.status < 0 else f"status {vmm.status}"


def anonymous(text, folder):
    """A message without what differs from run to run."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", text)
    text = re.sub(r"0x[0-9a-f]{6,}", "ADDRESS", text)
    return text.replace(str(folder), "FOLDER")


class Try:
    """One migration in a situation, and what became of it."""

    def __init__(self, lab, situation):
        self._lab = lab
        self._situation = situation
        self.result = {"migration": "", "source": "", "destination": "", "printed": []}
        self.verdict = "runs nowhere"
        self._guest = None

    def run(self):
        devices = {side: self._lab.mdev(**MEMORY) for side in (SOURCE, DESTINATION)}
        device = devices[self._situation.side]
        try:
            with tempfile.TemporaryDirectory() as folder:
                self._run(devices, device, pathlib.Path(folder))
                self._read(pathlib.Path(folder))
        finally:
            for qemu in self._lab.qemus:
                qemu.kill()
            for each in devices.values():
                each.remove()

    def _apply(self, device):
        for name, value in self._situation.rules:
            device.write(name, value, "inject")

    def _run(self, devices, device, folder):
        if self._situation.at_open:
            self._apply(device)
        self.qemus = {}
        try:
            guest = self._lab.boot(devices[SOURCE], RAM_MIB, linux=False)
            self.qemus[SOURCE] = guest.vmm
            self._guest = guest
            guest.load(MIBS, **WORKLOAD)
            guest.goes_on()
            self.qemus[DESTINATION] = self._lab.waiting(guest, devices[DESTINATION])
        except (Unexpected, QmpError):
            side = DESTINATION if SOURCE in self.qemus else SOURCE
            self.qemus[side] = self._lab.qemus[-1]
            self.result["migration"] = "does not start"
            return
        for vmm in self.qemus.values():
            vmm.may_fail()
        if not self._situation.at_open:
            self._apply(device)
        self._migrate(folder)

    def _migrate(self, folder):
        uri = f"unix:{folder}/socket"
        source, destination = self.qemus[SOURCE], self.qemus[DESTINATION]
        try:
            migration = Migration(self._lab.loop, source, destination)
            migration.limit(FAST, DOWNTIME_MS)
            if self._lab.protocol.knows_bandwidth:
                # Its estimate depends on what the guest happens to write, which is nothing.
                limit = {"avail-switchover-bandwidth": FAST}
                source.qmp.command("migrate-set-parameters", **limit)
            migration.listen(uri)
            migration.begin(uri)
        except QmpError as error:
            self.result["migration"] = "refused"
            self.result["printed"].append(f"source: {error}")
            return
        ends = "completed", "failed"
        try:
            self._lab.loop.until(
                lambda: migration.reported(*ends) or source.status is not None, "its end", END_SECONDS
            )
        except Timeout:
            self.result["migration"] = "endless"
            if self._answers(source):
                migration.cancel()
            return
        words = {"completed": "completes", "failed": "fails"}
        reported = [words[status] for status in ends if migration.reported(status)]
        self.result["migration"] = reported[0] if reported else ""

    def _answers(self, vmm):
        """Whether its monitor does, and its last status."""
        try:
            return vmm.qmp.soon("query-status", ANSWER_SECONDS)["status"]
        except (Timeout, QmpError, OSError):
            return None

    def _read(self, folder):
        """Where the machine is, and in which shape."""
        running = []
        for side in SOURCE, DESTINATION:
            vmm = self.qemus.get(side)
            self.result[side] = self._state(vmm)
            if self.result[side] == "running":
                running.append(vmm)
        if self._guest and len(running) == 1:
            self._guest.vmm = running[0]
            self._judge()
        for side, vmm in self.qemus.items():
            # Its own words: no warnings that it always gives, no registers after a crash.
            lines = [
                line
                for line in vmm.said().splitlines()
                if line.startswith("qemu") and "warning:" not in line
            ]
            self.result["printed"] += [f"{side}: {line}" for line in lines]
        self.result["printed"] = [anonymous(line, folder) for line in self.result["printed"]]

    def _state(self, vmm):
        if vmm is None:
            return "none"
        # An end is seen with the next turn of the loop; one after a failure takes a moment.
        if vmm.status is None and not (status := self._answers(vmm)):
            try:
                self._lab.loop.until(lambda: vmm.status is not None, "its end", ANSWER_SECONDS)
            except Timeout:
                return "hangs"
        if vmm.status is None and vmm is self.qemus.get(SOURCE):
            status = self._settled(vmm, status)
        return status if vmm.status is None else end_of(vmm)

    def _settled(self, vmm, status):
        """The status of a source, once it has decided: a failure is reported before."""
        ends = "running", "postmigrate"
        try:
            self._lab.loop.until_looked(
                lambda: vmm.status is not None or self._answers(vmm) in ends,
                "its decision",
                ANSWER_SECONDS,
            )
        except Timeout:
            return status
        return self._answers(vmm) or status

    def _judge(self):
        before = self._guest.stamps
        try:
            self._lab.loop.until_looked(
                lambda: self._guest.stamps > before, "the device writing", ANSWER_SECONDS
            )
        except Timeout:
            self.verdict = "dead device"
            return
        self._guest.stop()
        verdict = self._guest.verify()
        self.verdict = WHOLE if not verdict.bad else f"{verdict.bad} bad pages"

    @property
    def outcome(self):
        """In a few words, for the table."""
        # A destination may give up; a source must not, whatever its status.
        bad = {SOURCE: ("SIG", "hangs", "status"), DESTINATION: ("SIG", "hangs")}
        crashes = [
            f"{side}: {self.result[side]}" for side in bad if self.result[side].startswith(bad[side])
        ]
        faults = crashes + ([] if self.verdict == WHOLE else [self.verdict])
        words = [word for word in [self.result["migration"], *faults] if word]
        return f"**{', '.join(words)}**" if faults else words[0]


def all_situations(tap, lab):
    version = lab.protocol.version
    for situation in situations(lab.protocol):
        known = KNOWN.get((version, situation.title))
        promise = known or "the machine runs in one place, whole"
        with tap.test(f"LAB-16 {situation.title}: {promise}"):
            attempt = Try(lab, situation)
            attempt.run()
            line = {"qemu": version, "title": situation.title, "outcome": attempt.outcome}
            tap.note("situation " + json.dumps({**line, **attempt.result}))
            if known:
                equal(attempt.outcome, known, "what it does")
            else:
                assert not attempt.outcome.startswith("**"), attempt.outcome
        tap.took(situation.title)
