# SPDX-License-Identifier: GPL-2.0-only
"""A QEMU that holds a device, and the guest program that talks through it."""

import re

from migration import Migration
from protocol import Trace
from qmp import Qmp
from usual import FAST

# QEMU shuts its own socket at a cancel, and prints an error if it was just writing to
# it, or was about to when it had closed it; and so it does when the peer has hung up. A
# test that cancels or loses a migration excuses these messages.
ON_A_CLOSED_SOCKET = (
    r"qemu-system-x86_64: Unable to write to socket: "
    r"(Broken pipe|Connection reset by peer|Bad file descriptor)",
    r"qemu-system-x86_64: Unable to read from socket: Connection reset by peer",
    r"qemu-system-x86_64: Channel error: (Input/output error|Broken pipe|Connection reset by peer)",
    r"qemu-system-x86_64: [0-9a-f-]{36}: vfio_save_buffer failed .*",
    r"qemu-system-x86_64: [0-9a-f-]{36}: Failed to save buffer",
    r"qemu-system-x86_64: failed to save SaveStateEntry with id\(name\): "
    r".*(/vfio|\(ram)\): -(5|9|32|104|110)",
)


class Unexpected(Exception):
    """A QEMU ended that should not have."""


class Verdict:
    """What the guest says of the device's memory, and of its own where the device was."""

    def __init__(self, pages, stamps, bad, lines, transfers, reads):
        self.pages = pages
        self.stamps = stamps
        self.bad = bad
        self.lines = lines
        self.transfers = transfers
        self.reads = reads

    def names(self):
        """The bad pages by name, without what was expected and found."""
        return sorted(line.split(": expected")[0] for line in self.lines)


class Guest:
    """stamp.c, wherever its guest is: the line to it moves along with it."""

    def __init__(self, loop):
        self.vmm = None
        self.stamps = 0
        self._bad = []
        self._loop = loop
        self._tail = b""
        self._lines = []

    def feed(self, data):
        """Bytes of the line. One that was cut by the move is put together."""
        *lines, self._tail = (self._tail + data).split(b"\n")
        for line in lines:
            text = line.decode(errors="replace").strip()
            if match := re.fullmatch(r"stamps (\d+)", text):
                self.stamps = int(match[1])
            elif text.startswith("bad "):
                self._bad.append(text)
            else:
                self._lines.append(text)

    def wait(self, pattern):
        """Wait for a line, and give its match. What came before it is forgotten."""

        def found():
            while self._lines:
                if match := re.fullmatch(pattern, self._lines.pop(0)):
                    return match
            return None

        return self._loop.until(found, f"the guest saying {pattern!r}")

    def tell(self, command):
        self.vmm.control.sendall(command.encode() + b"\n")

    def _ask(self, *commands):
        for command in commands:
            self.tell(command)
            self.wait(command)

    def stop(self):
        self._ask("rate 0", "dma 0")

    def load(self, working_set, rate, dma=0):
        """Stamp so many pages, so many a second, from now on; and so many transfers."""
        self._ask(f"set {working_set}", f"rate {rate}", f"dma {dma}")

    def transfer_slowly(self):
        """One transfer after the other, each of thousands of short pieces.

        One must take longer than QEMU takes to stop the guest's processor, which starts
        no other one then.
        """
        self.tell("dma 1000 8")
        self.wait("dma 1000")

    def power(self, state):
        """Put the device into D0 or D3hot (3), where it is left alone."""
        self._ask(f"power {state}")

    def reset_device(self):
        """Have the guest's kernel reset the device, which does nothing meanwhile."""
        self.stop()
        self.tell("reset")
        self.wait("reset")

    def lend(self):
        """Leave the last pages to the other device; the rest is this guest's to check."""
        self.tell("lend")
        self.pages = int(self.wait(r"lend (\d+)")[1])

    def use_peer(self):
        """Have the device transfer into what the other one has lent."""
        self._ask("peer")

    def read_disk(self):
        """Have a disk read into the last pages, one page after the other."""
        self.tell("disk")
        self.pages = int(self.wait(r"disk (\d+)")[1])

    def fill(self, pages):
        self.tell(f"fill {pages}")
        self.wait(f"filled {pages}")

    def verify(self):
        """Have every page checked; what was found bad since the last time counts."""
        self.tell("verify")
        transfers = int(self.wait(r"moved (\d+) transfers, \d+ interrupts")[1])
        reads = int(self.wait(r"read (\d+) pages")[1])
        match = self.wait(r"verified (\d+) pages, (\d+) stamps, bad (\d+)")
        names, self._bad = self._bad, []
        return Verdict(*map(int, match.groups()), names, transfers, reads)

    def goes_on(self):
        """Wait until it has stamped more than it had."""
        before = self.stamps
        self._loop.until(lambda: self.stamps > before, "the guest stamping")

    def config(self):
        """Config space as the guest reads it: lines of lspci's dump, with a head."""
        self.tell("config")
        dump = []
        while True:
            match = self.wait(r"config (?:([0-9a-f]+: .*)|of [0-9a-f]+:(.*): (\d+) bytes)")
            if match[1] is None:
                break
            dump.append(match[1])
        return "\n".join([f"{match[2]} device", *dump, "", ""])

    def sabotage(self, kind):
        """Have a page spoiled in secret; give what verify() should call it."""
        self.tell(f"sabotage {kind}")
        page = self.wait(rf"sabotaged page (\d+): {kind}")[1]
        return f"bad page {page}: {kind}"


class Second:
    """A second device of a QEMU, and the line to the program that uses it."""

    def __init__(self, mdev):
        self.mdev = mdev
        self.control, self._chardev = mdev.host.line("second")

    def options(self):
        return [
            *("-chardev", self._chardev),
            *("-serial", "chardev:second"),
        ]


class Qemu:
    """A QEMU process with a tern device; with a guest's kernel, or just the BIOS."""

    def __init__(self, name, logs, protocol, mdev, boot, incoming=False, more=(), second=None, wrapper=()):
        self.name = name
        self.protocol = protocol
        self.mdev = mdev
        self.trace = logs / f"{name}.trace"
        self.stderr = logs / f"{name}.stderr"
        self.status = None
        self._expected_to_end = False
        self._excused = [*protocol.excused, *mdev.excused]
        self._monitor, monitor = mdev.host.line("monitor")
        self._control, control = mdev.host.line("control")
        command = [*wrapper, protocol.binary, "-name", name, *boot]
        command += ["-chardev", monitor]
        command += ["-chardev", f"file,id=console,path={logs}/{name}.console"]
        command += ["-chardev", control]
        command += ["-qmp", "chardev:monitor"]
        command += ["-serial", "chardev:console", "-serial", "chardev:control"]
        command += mdev.options(protocol)
        for event in protocol.traces:
            command += ["-trace", event]
        command += ["-D", str(self.trace)]
        self.second = Second(second) if second else None
        if second:
            command += self.second.options() + second.options(protocol)
        command += more
        if incoming:
            command += ["-incoming", "defer"]
        mdev.host.make_folder(str(logs))
        self._process = mdev.host.start(command, str(self.stderr))
        self.pid = self._process.pid
        self.control = mdev.host.connect(self._control)

    def start(self, loop, feed, answers=True):
        """Listen to it: what its guest says goes to feed().

        answers: its monitor does so now; if not, call qmp.start() later
        """
        self.loop = loop
        loop.watch_bytes(self.control, feed)
        monitor = self.mdev.host.connect(self._monitor)
        if self._process.pid is None:
            self.qmp = Qmp(loop, monitor, self.name, self._exited)
        else:
            self.qmp = Qmp(loop, monitor, self.name)
            loop.watch_exit(self._process.pid, self._exited)
        if answers:
            self.qmp.start()

    def load(self, uri):
        """Have it take a guest from there, to the end."""
        migration = Migration(self.loop, destination=self, return_path=False)
        migration.listen(uri)
        self.loop.until(migration.arrived, f"{uri}: the end")

    def save(self, path, downtime_ms, look=lambda: None):
        """Have it write its guest to a file; the guest is stopped then."""
        migration = Migration(self.loop, self, return_path=False)
        migration.limit(FAST, downtime_ms)
        path.unlink(missing_ok=True)
        # QEMU reports the end before cat has written all of it.
        migration.begin(f"exec:cat >{path}.new && mv {path}.new {path}")

        def saved():
            look()
            assert not migration.reported("failed"), self.qmp.command("query-migrate")
            return path.exists()

        self.loop.until_looked(saved, "the file")
        self.until_status("postmigrate")

    def until_status(self, status):
        """Wait until the guest is that: the end of a migration is reported before."""
        self.loop.until_looked(
            lambda: self.qmp.command("query-status")["status"] == status, f"the guest: {status}"
        )

    def until_device(self, state):
        self.loop.until_looked(lambda: self.mdev.read("state") == state, f"the device: {state}")

    def _exited(self):
        self.status = self._process.wait()
        if not self._expected_to_end:
            raise Unexpected(f"{self.name} ended with {self.status}: {self.complaints()}")

    def quit(self, loop):
        """End it, and wait until it has exited."""
        self._expected_to_end = True
        self.qmp.command("quit")
        loop.until(lambda: self.status is not None, f"{self.name}: exit")
        if self.status or self.complaints():
            raise Unexpected(f"{self.name} quit with {self.status}: {self.complaints()}")

    def may_fail(self):
        """Its end is near, and it may say why."""
        self._expected_to_end = True
        self._excused = [r".*"]

    def wait_for_exit(self):
        """Its status, once it has ended, and its output."""
        self.loop.until(lambda: self.status is not None, f"{self.name}: exit")
        return self.status, self.said()

    def kill(self):
        if self.status is None:
            self._expected_to_end = True
            self._process.kill()
            self.status = self._process.wait()

    def said(self):
        """Its standard output and error."""
        return self.mdev.host.read(str(self.stderr))

    def traced(self):
        """What it took from the device."""
        return Trace(self.protocol.events(self.trace_text()))

    def trace_text(self):
        return self.mdev.host.read(str(self.trace))

    def excuse(self, *patterns):
        """Lines that it has a reason to say: what they match, whole."""
        self._excused += patterns

    def complaints(self):
        """Its output, except for what it had a reason to print."""
        lines = self.said().splitlines()
        devices = 2 if self.second else 1
        for each in self.protocol.excused:
            assert sum(bool(re.fullmatch(each, line)) for line in lines) <= devices, lines
        return "\n".join(
            line for line in lines if not any(re.fullmatch(each, line) for each in self._excused)
        )
