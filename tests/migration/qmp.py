# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's monitor: as much of QMP as a migration takes."""

import json


class QmpError(Exception):
    """QEMU refused a command."""


class Qmp:
    def __init__(self, loop, sock, name, hung_up=lambda: None):
        self.name = name
        self.events = []
        self._loop = loop
        self._sock = sock
        self._tail = b""
        self._replies = []
        self._greeted = False
        self.closed = False
        self._hung_up = hung_up
        loop.watch_bytes(sock, self._feed, self._close)

    def _feed(self, data):
        *lines, self._tail = (self._tail + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "QMP" in message:
                self._greeted = True
            elif "event" in message:
                self.events.append(message)
            else:
                self._replies.append(message)

    def _close(self):
        self.closed = True
        self._hung_up()

    def start(self):
        self._loop.until(lambda: self._greeted, f"{self.name}: QMP greeting")
        self.command("qmp_capabilities")

    def command(self, name, **arguments):
        """Run a command and give what it returns."""
        return self.commands((name, arguments))[0]

    def commands(self, *commands):
        """Ask for several in one breath; give what each returns."""
        requests = [{"execute": name, "arguments": arguments} for name, arguments in commands]
        self._sock.sendall(b"".join(json.dumps(each).encode() + b"\n" for each in requests))
        return [self._reply(name) for name, _ in commands]

    def soon(self, name, seconds):
        """Run a command that may not be answered in time: then it is asked nothing more."""
        if self.closed:
            raise QmpError(f"{self.name}: {name}: the monitor has hung up")
        self._sock.sendall(json.dumps({"execute": name}).encode() + b"\n")
        return self._reply(name, seconds)

    def _reply(self, name, seconds=300):
        self._loop.until(lambda: self._replies or self.closed, f"{self.name}: {name}", seconds)
        if not self._replies:
            raise QmpError(f"{self.name}: {name}: the monitor hung up")
        reply = self._replies.pop(0)
        if "error" in reply:
            raise QmpError(f"{self.name}: {name}: {reply['error']['desc']}")
        return reply["return"]

    def event(self, name, **data):
        """The first event of that name with these data, or None."""
        for event in self.events:
            if event["event"] == name and data.items() <= event.get("data", {}).items():
                return event
        return None

    def last_event(self, name):
        """The last event of that name."""
        return [event for event in self.events if event["event"] == name][-1]

    def _statuses(self):
        return [event["data"]["status"] for event in self.events if event["event"] == "MIGRATION"]

    def migration_status(self):
        """The last status that was reported of a migration."""
        return (self._statuses() or ["none"])[-1]

    def status_when_cancelled(self):
        """The last one that was reported before its end."""
        ends = "cancelling", "cancelled", "failed"
        return [status for status in self._statuses() if status not in ends][-1]

    def cancelled(self):
        """Whether a cancelled migration has come to its end.

        QEMU 7.2 shuts the socket before it says "cancelling": if it was just writing to
        it, the migration has failed by then.
        """
        return self.migration_status() in ("cancelled", "failed")

    def set_capabilities(self, **capabilities):
        """Which capabilities of migration to have, and which not to."""
        wanted = [
            {"capability": name.replace("_", "-"), "state": state}
            for name, state in capabilities.items()
        ]
        self.command("migrate-set-capabilities", capabilities=wanted)


def event_time(event):
    stamp = event["timestamp"]
    return stamp["seconds"] + stamp["microseconds"] / 1e6
