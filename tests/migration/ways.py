# SPDX-License-Identifier: GPL-2.0-only
"""Every way that a migration can go: W-2 to W-23 of Documentation/ways.rst.

A guest is booted once and saved to a file, under full load: it stamps, the device
moves stamps by DMA, registers change. Most ways begin with that guest, loaded.
"""

import pathlib
import random
import signal
import subprocess
import tempfile

from checks import (
    check_bytes, check_goes_on, check_load, check_pages, check_verdict, describe, equal,
)
from late import LateStores
from tamper import Begin, CutAtByte, CutAtRecord, Flip, FlipEnd, Saved
from usual import BANDWIDTH, FAST, FULL_LOAD, MEMORY, MIB, RAM_MIB, SNAPSHOT, most

DOWNTIME_MS = 1000
FILE_ENDED = (
    r"qemu-system-x86_64: [0-9a-f-]{36}: data_fd out of sync",
    r"qemu-system-x86_64: Channel error: (Bad file descriptor|No such device)",
    r"qemu-system-x86_64: failed to save SaveStateEntry with id\(name\): .*/vfio\): -19",
)
# A kernel takes a group that has lost its last device from its container; if QEMU has not
# done so yet, it finds nothing there: QEMU 7.2 prints the first two, 10.0 the third.
GROUP_GONE = (
    r"qemu-system-x86_64: VFIO_UNMAP_DMA failed: Invalid argument",
    r"qemu-system-x86_64: vfio_dma_unmap\(.*\) = -22 \(Invalid argument\)",
    r"qemu-system-x86_64: vfio_container_dma_unmap\(.*\) = -22 \(Invalid argument\)",
    r"qemu-system-x86_64: vfio: error disconnecting group \d+ from container",
)
# QEMU 10.0 at an unplug, where there is no KVM.
NO_KVM = r"qemu-system-x86_64: KVM VFIO device isn't created yet"
NEVER = 300  # seconds
LATE_TRIES = 10  # migrations, to see a store that comes after the device's stop
# A disk that takes a quarter of a second for each read, but none when QEMU drains it. That
# is after the stop of all devices: with ioeventfd it is before the stop of some.
DISK = (
    *("-drive", "if=none,id=disk,format=raw,readonly=on,throttling.iops-total=4,file={}"),
    *("-device", "virtio-blk-pci,drive=disk,disable-modern=on,ioeventfd=off"),
)
RECORDS = 3072  # or more, in a stream of the snapshot and one pass
STREAM = SNAPSHOT + 64 * 1024  # bytes, or more, of the same


class Ways:
    def __init__(self, tap, lab, folder, seed, long):
        self._tap = tap
        self._lab = lab
        self._folder = folder
        self._file = folder / "guest"
        self._random = random.Random(seed)
        self._long = long
        self._pages = None
        tap.note(f"seed {seed}")

    def prepare(self):
        """One guest boots, and is put into a file."""
        lab = self._lab
        guest = lab.boot(lab.mdev(**MEMORY), RAM_MIB)
        guest.fill(most(guest.pages))
        guest.load(**FULL_LOAD)
        guest.goes_on()
        self._pages = guest.pages
        guest.vmm.save(self._file, DOWNTIME_MS)
        lab.end(guest)
        self._tap.took("a guest boots and is put into a file")

    def guest(self, more=()):
        if not self._file.exists():
            self.prepare()
        guest = self._lab.load(
            self._lab.mdev(**MEMORY), RAM_MIB, f"exec:cat {self._file}", more=more
        )
        guest.pages = self._pages
        check_goes_on(guest)
        return guest

    def move(self, guest, **options):
        """A whole migration under the same load."""
        options = {"bandwidth": BANDWIDTH, "passes": 2, **options}
        move = self._lab.move(guest, self._lab.mdev(**MEMORY), **options)
        self._tap.note(describe(move))
        return move

    def whole(self, guest):
        move = self.move(guest)
        check_load(move, 2)
        check_bytes(move)
        check_pages(guest, move)

    def still_here(self, guest):
        """The source has the guest, whole and at work; its device has no session."""
        guest.vmm.until_status("running")
        # QEMU 10.0 reports a failure, and ends the device's session after it.
        guest.vmm.until_device("running")
        equal(guest.vmm.mdev.number("pending_bytes"), 0, "pending bytes, with no session")
        check_goes_on(guest)

    def paused(self):
        """W-2: it arrives paused, and then it is right."""
        guest = self.guest()
        qmp = guest.vmm.qmp
        qmp.command("stop")
        equal(guest.vmm.mdev.read("state"), "stopped", "the paused device")
        move = self.move(guest, bandwidth=FAST, passes=0, paused=True)
        equal(move.passes, 0, "passes of a device that was stopped")
        equal(guest.vmm.qmp.command("query-status")["status"], "paused", "the guest")
        equal(guest.vmm.mdev.read("state"), "resuming", "the device, before it runs")
        guest.vmm.qmp.command("cont")
        check_bytes(move)
        check_pages(guest, move)
        check_goes_on(guest)
        self._lab.end(guest)

    def stopped_and_continued(self):
        """W-3: a second session in the same stream, and it alone counts."""
        guest = self.guest()
        if not self._lab.protocol.sessions_in_a_stream:
            self.stop_ends_it(guest)
            return
        states = []

        def interrupt(move):
            for command in "stop", "cont":
                move.source.qmp.command(command)
                states.append(move.source.mdev.read("state"))
                states.append(move.source.mdev.number("passes"))

        move = self.move(guest, interrupt=interrupt)
        self._tap.note(f"states and passes: {states}")
        equal(states[::2], ["stopped-saving", "running"], "the device's states")
        assert states[1] >= 2, f"{states[1]} passes before the stop"
        equal(move.passes, 0, "passes of the session that counts")
        assert move.stopped_bytes > SNAPSHOT, "the second session is not the whole state"
        check_bytes(move)
        check_pages(guest, move)
        self._lab.end(guest)

    def stop_ends_it(self, guest):
        """Or QEMU fails: the guest continues, and can be moved."""

        def interrupt(move):
            for command in "stop", "cont":
                move.source.qmp.command(command)

        guest.vmm.excuse(*FILE_ENDED)
        self._tap.note(f"stop and cont: {self.fails(guest, interrupt)}")
        self.still_here(guest)
        self.whole(guest)
        self._lab.end(guest)

    def snapshots(self):
        """W-4: savevm, and loadvm twice: the state of the save, each time."""
        disk = self._folder / "disk.qcow2"
        self._lab.make_disk(disk)
        guest = self.guest(more=("-drive", f"if=none,format=qcow2,file={disk}"))
        qmp = guest.vmm.qmp

        def monitor(line):
            reply = qmp.command("human-monitor-command", **{"command-line": line})
            assert not reply.strip(), f"{line}: {reply}"

        monitor("savevm one")
        equal(guest.vmm.mdev.number("passes"), 0, "passes of a VM that was stopped")
        self.still_here(guest)
        saved = guest.verify().transfers
        for _ in range(2):
            guest.goes_on()
            monitor("loadvm one")
            verdict = guest.verify()
            check_verdict(verdict, guest.pages)
            assert verdict.transfers <= saved, "the expected contents are not those of the save"
            check_goes_on(guest)
        self._lab.end(guest)

    def reboots(self):
        """W-6: the guest reboots in mid-migration: nothing of its first life is left."""
        guest = self.guest()
        guest.vmm.qmp.command("set-action", reboot="reset")

        def interrupt(move):
            move.source.qmp.command("system_reset")
            move.source.loop.until(
                lambda: move.source.qmp.event("RESET"), "the guest's reset"
            )
            # A reset may cut a line short; here each one does.
            guest.feed(b"stamps ")

        if not self._lab.protocol.sessions_in_a_stream:
            self.reboot_ends_it(guest, interrupt)
            return
        move = self.move(guest, interrupt=interrupt)
        # Of the session that the reset ended QEMU has the bytes, and nothing uses them.
        equal(move.passes, 0, "passes of the session that counts")
        equal(move.trace.stopped_bytes, move.stopped_bytes, "QEMU's trace, after the stop")
        assert move.stopped_bytes < SNAPSHOT / 2, "something of the first life was sent"
        self.second_life(guest)
        self._lab.end(guest)

    def reboot_ends_it(self, guest, interrupt):
        """Or the session's file is stale, and QEMU fails."""
        guest.vmm.excuse(*FILE_ENDED)
        self._tap.note(f"reboot: {self.fails(guest, interrupt)}")
        self.second_life(guest)
        self.whole(guest)
        self._lab.end(guest)

    def fails(self, guest, interrupt):
        return self._lab.failing(
            guest,
            self._lab.mdev(**MEMORY),
            bandwidth=BANDWIDTH,
            passes=2,
            interrupt=interrupt,
        )

    def second_life(self, guest):
        equal(int(guest.wait(r"ready (\d+)")[1]), guest.pages, "pages that the guest sees")
        guest.stamps = 0
        verdict = guest.verify()
        equal(verdict.bad, 0, "bad pages: " + " ".join(verdict.lines))
        guest.load(**FULL_LOAD)
        check_goes_on(guest)

    def in_flight(self):
        """W-17 DMA-9: a transfer that is under way at the stop is finished elsewhere, once."""
        guest = self.guest()
        guest.transfer_slowly()
        saved = self._folder / "in-flight"
        for tries in range(1, 21):
            guest.goes_on()
            guest.vmm.save(saved, DOWNTIME_MS)
            under_way = Saved(saved).transfer_in_flight()
            if under_way:
                break
            guest.vmm.qmp.command("cont")
        assert under_way, "20 times no transfer was on its way"
        done, length = under_way
        self._tap.note(f"{done} of {length} bytes were done at the stop ({tries} tries)")
        self._lab.end(guest)
        guest = self._lab.load(self._lab.mdev(**MEMORY), RAM_MIB, f"exec:cat {saved}")
        check_verdict(guest.verify(), self._pages)
        guest.pages = self._pages
        check_goes_on(guest)
        self._lab.end(guest)

    def in_d3hot(self):
        """A device in D3hot, and a transfer that waits there: D0 finishes it, once."""
        guest = self.guest()
        guest.transfer_slowly()
        saved = self._folder / "d3hot"
        for _ in range(20):
            guest.goes_on()
            guest.power(3)
            guest.vmm.save(saved, DOWNTIME_MS)
            under_way = Saved(saved).transfer_in_flight()
            if under_way:
                break
            guest.vmm.qmp.command("cont")
            guest.power(0)
        assert under_way, "20 times no transfer was on its way"
        self._tap.note(f"{under_way[0]} of {under_way[1]} bytes were done in D3hot")
        self._lab.end(guest)
        guest = self._lab.load(self._lab.mdev(**MEMORY), RAM_MIB, f"exec:cat {saved}")
        guest.power(0)
        check_verdict(guest.verify(), self._pages)
        guest.pages = self._pages
        check_goes_on(guest)
        self._lab.end(guest)

    def device_reset(self):
        """The guest resets the device, which is then migrated as if it was new."""
        guest = self.guest()
        guest.reset_device()
        equal(guest.verify().bad, 0, "bad pages of a device that was reset")
        guest.fill(most(guest.pages))
        guest.load(**FULL_LOAD)
        check_goes_on(guest)
        self.whole(guest)
        self._lab.end(guest)

    def line(self):
        """W-18 INT-6: INTx, and a transfer that is under way at each stop."""
        guest = self._lab.boot(self._lab.mdev(**MEMORY), RAM_MIB, intx=True)
        guest.fill(most(guest.pages))
        guest.load(**FULL_LOAD)
        guest.transfer_slowly()
        for passes in 2, 0:
            guest.goes_on()
            move = self.move(guest, passes=passes)
            check_bytes(move)
            check_pages(guest, move)
            check_goes_on(guest)
            self._tap.note(f"{guest.verify().transfers} transfers signalled by INTx")
        self._lab.end(guest)

    def two(self):
        """W-8: two devices in one VM, both under load."""
        lab = self._lab
        mdevs = [lab.mdev(**MEMORY) for _ in range(2)]
        guest, other = lab.boot_two(mdevs, RAM_MIB)
        for each in guest, other:
            each.fill(most(each.pages))
            each.load(**FULL_LOAD)
        for passes in 2, 0:
            mdevs = [lab.mdev(**MEMORY) for _ in range(2)]
            move = lab.move_two(guest, mdevs, bandwidth=BANDWIDTH, passes=passes)
            self._tap.note(f"{describe(move)}; the second device's bytes: {move.second_bytes}")
            if passes:
                check_load(move, passes)
            assert sum(move.second_bytes) > SNAPSHOT, "the second device is not whole"
            check_pages(guest, move)
            check_verdict(other.verify(), other.pages)
            for each in guest, other:
                each.goes_on()
        lab.end(guest)

    def peer_dma(self):
        """W-22: a device's DMA writes to the other one's memory, and after its stop.

        QEMU 7.2 reads the second device only while the first has no data, and stops the
        second one first: so the first one writes, and nothing writes to its own memory.
        Between the two stops that QEMU is paused until the transfer ends.
        """
        lab = self._lab
        quiesced = lab.protocol.peers_stop_first
        lab.wrapper = [] if quiesced else lab.pause.wrapper
        writer, owner = lab.boot_two([lab.mdev(**MEMORY) for _ in range(2)], RAM_MIB)
        owner.lend()
        writer.use_peer()
        for each in writer, owner:
            each.fill(most(each.pages))
        owner.load(**FULL_LOAD)
        writer.stop()
        writer.transfer_slowly()
        written = 0

        def migrate():
            nonlocal written
            mdevs = [lab.mdev(**MEMORY) for _ in range(2)]
            options = {"watched": writer.vmm.second.mdev}
            if not quiesced:
                options["notice"] = lab.pause.notice
            # Fast passes: what they have taken has not been stored to again at the stop.
            move = lab.move_two(writer, mdevs, bandwidth=FAST, passes=2, **options)
            self._tap.note(describe(move))
            equal(move.late_marks, 0, "pages that the stream may lack, of both devices")
            verdict = check_pages(writer, move)
            check_verdict(owner.verify(), owner.pages)
            assert verdict.transfers > written, "no transfer during the migration"
            written = verdict.transfers
            owner.goes_on()

        try:
            self.stored_late(migrate, none=quiesced)
        finally:
            lab.wrapper = []
        lab.end(writer)

    def disk_read(self):
        """W-23: a disk read into BAR2 that QEMU completes after the device's stop."""
        disk = self._folder / "stamped"
        self._lab.make_stamped_disk(disk)
        more = [word.format(disk) for word in DISK]
        guest = self._lab.boot(self._lab.mdev(**MEMORY), RAM_MIB, more=more)
        guest.read_disk()
        guest.fill(most(guest.pages))
        guest.load(**FULL_LOAD)
        reads = 0

        def migrate():
            nonlocal reads
            move = self.move(guest)
            check_bytes(move)
            verdict = check_pages(guest, move)
            assert verdict.reads > reads, "nothing was read during the migration"
            self._tap.note(f"{verdict.reads - reads} pages read from the disk since the last one")
            reads = verdict.reads
            check_goes_on(guest)

        self.stored_late(migrate)
        self._lab.end(guest)

    def stored_late(self, migrate, none=False):
        """Migrate until a store came after the device's stop; or twice, and none does."""
        for _ in range(2 if none else LATE_TRIES):
            with LateStores() as late:
                migrate()
            self._tap.note(f"pages stored to after the stop: {late.pages}")
            if none:
                equal(late.pages, 0, "pages stored to after the stop")
            elif late.pages:
                return
        assert none, f"in {LATE_TRIES} migrations no store came after the stop"

    def removed(self):
        """W-19 P-36: the removal succeeds, and QEMU gives the device back."""
        guest = self.guest()
        guest.stop()
        guest.vmm.excuse(*GROUP_GONE)
        if not self._lab.machine.kvm:
            guest.vmm.excuse(NO_KVM)
        mdev, qmp, ended = guest.vmm.mdev, guest.vmm.qmp, []
        remover = subprocess.Popen(["sh", "-c", f"echo 1 >{mdev.path}/remove"])
        self._lab.loop.watch_exit(remover.pid, lambda: ended.append(remover.wait()))
        self._lab.loop.until(lambda: ended, "the removal")
        equal(ended, [0], "status of the removal")
        assert not mdev.exists(), "the device is still there"
        self._lab.loop.until(lambda: qmp.event("DEVICE_DELETED"), "the device unplugged")
        self._lab.end(guest)

    def refusals(self):
        """W-9: another size, another model, an older reader."""
        guest = self.guest()
        for mib in 8, 32:
            mdev = self._lab.mdev(memory_mib=mib, window_kib=256)
            refusal = self._lab.refused(guest, mdev, bandwidth=FAST)
            self.check_refused(
                guest, refusal, f"{mib} MiB for 16", "Numerical result out of range"
            )
        for tamper, why in (
            (Begin("another model", 16, 2), "Wrong medium type"),
            (Begin("an older reader", 12, 99), "Protocol not supported"),
        ):
            refusal = self._lab.refused(
                guest, self._lab.mdev(**MEMORY), bandwidth=FAST, tamper=tamper
            )
            assert tamper.done, f"{tamper}: no such place in the stream"
            self.check_refused(guest, refusal, tamper, why)
        self.whole(guest)
        self._lab.end(guest)

    def check_refused(self, guest, refusal, what, why=""):
        output = refusal.output.strip()
        reasons = [line for line in output.splitlines() if "vfio" in line]
        self._tap.note(f"{what}: {reasons[0] if reasons else output}")
        assert not refusal.completed, f"{what}: the source believes that it is done"
        assert refusal.status, f"{what}: the destination ended as if nothing was"
        assert output, f"{what}: and without output"
        assert why in output, f"{what}: not because of {why}"
        self.still_here(guest)

    def no_return_path(self):
        """W-16: the source believes that it is done; the operator has it go on."""
        guest = self.guest()
        qmp = guest.vmm.qmp
        refusal = self._lab.refused(
            guest,
            self._lab.mdev(**MEMORY),
            bandwidth=FAST,
            tamper=FlipEnd(),
            return_path=False,
        )
        self._tap.note(f"the destination, status {refusal.status}: {refusal.output.strip()}")
        assert refusal.status, "the destination ended as if nothing was"
        assert refusal.completed, "the source knows"
        equal(qmp.command("query-migrate")["status"], "completed", "what the source says")
        guest.vmm.until_status("postmigrate")
        equal(guest.vmm.mdev.read("state"), "stopped", "the source's device")
        qmp.command("cont")
        self.still_here(guest)
        self.whole(guest)
        self._lab.end(guest)

    def tampered(self, tampers):
        """W-10, W-11: the stream is cut, or a bit of it is another."""
        guest = self.guest()
        for tamper in tampers:
            refusal = self._lab.refused(
                guest, self._lab.mdev(**MEMORY), bandwidth=FAST, tamper=tamper
            )
            assert tamper.done, f"{tamper}: no such place in the stream"
            self.check_refused(guest, refusal, tamper)
        self.whole(guest)
        self._lab.end(guest)

    def cuts(self):
        """Most records are pages, and one page is like another: first and some."""
        records, count = (2, 32) if self._long else (1, 1)
        places = [CutAtRecord(n) for n in (1, 2)]
        places += [CutAtRecord(self._random.randrange(RECORDS)) for _ in range(records)]
        places += [CutAtByte(self._random.randrange(STREAM)) for _ in range(count)]
        self.tampered(places)
        if self._long:
            self.all_cuts()

    def all_cuts(self):
        """A small device, at rest while it moves: the records are the same each time."""
        lab, memory = self._lab, {"memory_mib": 1}
        load = {"working_set": 32, "rate": 500}
        guest = lab.boot(lab.mdev(**memory), RAM_MIB)
        guest.fill(32)
        guest.load(**load)
        guest.goes_on()
        guest.stop()
        saved = self._folder / "small"
        guest.vmm.save(saved, DOWNTIME_MS)
        guest.vmm.qmp.command("cont")
        records = Saved(saved).records()
        self._tap.note(f"cut before each of {records} records")
        for number in range(records):
            tamper = CutAtRecord(number)
            refusal = lab.refused(guest, lab.mdev(**memory), bandwidth=FAST, tamper=tamper)
            assert tamper.done, f"{tamper}: no such place in the stream"
            guest.load(**load)
            self.check_refused(guest, refusal, tamper)
            guest.stop()
        lab.end(guest)

    def no_end(self):
        """W-15: all was taken, and there is no END: that is found as QEMU starts the guest."""
        guest = self.guest()
        whole, cut = self._folder / "whole", self._folder / "no-end"
        guest.vmm.save(whole, DOWNTIME_MS)
        Saved(whole).without_end(cut)
        if self._lab.protocol.starts_anyway:
            self.starts_empty(f"exec:cat {cut}")
        else:
            self.crashes(f"exec:cat {cut}")
        guest.vmm.qmp.command("cont")
        self.still_here(guest)
        self._lab.end(guest)

    def crashes(self, uri):
        status, output = self._lab.not_loaded(self._lab.mdev(**MEMORY), RAM_MIB, uri)
        assert status, "the destination ended as if nothing was"
        ended = signal.Signals(-status).name if status < 0 else f"status {status}"
        self._tap.note(f"it ended by {ended}, and had printed: {output.strip() or 'nothing'}")

    def starts_empty(self, uri):
        """QEMU resets the device, and reports that; the guest finds its memory empty."""
        guest = self._lab.load(self._lab.mdev(**MEMORY), RAM_MIB, uri)
        guest.vmm.until_status("running")
        output = guest.vmm.complaints()
        self._tap.note(f"it printed: {output}")
        assert "Resetting device: Input/output error" in output, "it did not print that"
        equal(guest.vmm.mdev.read("state"), "running", "the device, reset")
        guest.vmm.may_fail()
        guest.vmm.kill()
        guest.vmm.mdev.remove()

    def flips(self):
        count = 200 if self._long else 4
        self.tampered(
            Flip(self._random.randrange(STREAM), self._random.randrange(8)) for _ in range(count)
        )

    def kills(self):
        """W-12: SIGKILL at any moment; the survivor is right, and what follows, too."""
        count = 200 if self._long else 6
        guest = self.guest()
        whole = self.killed(guest, "neither", NEVER)
        outcomes = []
        for n in range(count):
            victim = "source" if n % 2 else "destination"
            after = self._random.uniform(0, 1.1 * whole.seconds)
            killed = self.killed(guest, victim, after)
            outcomes.append(killed.outcome)
            if killed.outcome == "lost":
                guest = self.guest()
            self.still_here(guest)
        assert set(outcomes) - {"arrived"}, f"no kill came before the end: {outcomes}"
        self.whole(guest)
        self._lab.end(guest)

    def killed(self, guest, victim, after):
        killed = self._lab.killed(guest, self._lab.mdev(**MEMORY), victim, after, 16 * MIB)
        self._tap.note(
            f"{victim} killed after {killed.seconds * 1000:.0f} ms, "
            f"{killed.state}: {killed.outcome}"
        )
        return killed


# These see by kprobes which stores come after a device's stop.
BY_KPROBES = Ways.peer_dma, Ways.disk_read

# Titles, and what walks them.
WAYS = (
    ("W-2 P-35 a paused VM arrives paused", Ways.paused),
    ("W-3 V1-26 stop and cont during a migration", Ways.stopped_and_continued),
    ("W-4 P-34 savevm, then loadvm twice, restores the saved state", Ways.snapshots),
    ("W-6 P-14 a reboot during a migration leaves no old data", Ways.reboots),
    ("W-17 DMA-9 a DMA transfer in progress at the stop completes once", Ways.in_flight),
    ("W-20 V1-18 P-28 a device in D3hot completes its transfer in D0", Ways.in_d3hot),
    ("W-21 P-14 P-30 a device that the guest has reset migrates", Ways.device_reset),
    ("W-18 INT-6 P-28 no INTx is lost", Ways.line),
    ("W-8 P-31 two devices in one VM migrate", Ways.two),
    ("W-22 S-3 P-3 no store of a peer's DMA is lost", Ways.peer_dma),
    ("W-23 S-3 P-3 no store of a late disk read is lost", Ways.disk_read),
    ("W-19 P-36 removal while the VM runs unplugs the device", Ways.removed),
    ("W-9 another size, model or stream version is refused", Ways.refusals),
    ("W-10 a truncated stream is refused", Ways.cuts),
    ("W-15 V1-30 a stream without its END record", Ways.no_end),
    ("W-11 a stream with a flipped bit is refused", Ways.flips),
    ("W-16 refused at END without return-path: the source keeps the guest", Ways.no_return_path),
    ("W-12 one QEMU is killed: the other is correct", Ways.kills),
)


def is_wanted(title, way, args):
    """Whether it was asked for and can be walked here."""
    if args.iommufd and way in BY_KPROBES:
        return False
    return args.way in title and title.split()[0] not in args.without.split(",")


def count(args):
    """How many of them will run."""
    return sum(is_wanted(title, way, args) for title, way in WAYS)


def ways(tap, lab, args):
    # What is written here goes to memory.
    with tempfile.TemporaryDirectory() as folder:
        all_ways = Ways(tap, lab, pathlib.Path(folder), args.seed, args.long)
        for title, way in WAYS:
            if not is_wanted(title, way, args):
                continue
            failed = tap.failed
            with tap.test(title):
                way(all_ways)
            if tap.failed > failed:
                lab.clear()  # or what it left spoils the next one
            tap.took(title)
