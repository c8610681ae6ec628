#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Reproduce a hang of QEMU that Documentation/limits.rst reports. Tern is not in it.

    qemu_cancel.py QEMU...

Two machines with a return path, which run the BIOS and have no device. migrate and
migrate_cancel come in one breath, so the migration has no connection yet. Each time it must
be cancelled. Only the versions in HANG may hang: then a monitor does not answer any more.
"""

import collections
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

PATIENCE = 10  # seconds
TRIES = 10
HANG = "11.1",


class Machine:
    def __init__(self, qemu, *more):
        here, there = socket.socketpair()
        with there:
            self._process = subprocess.Popen(
                [qemu, "-machine", "q35", "-accel", "tcg", "-nodefaults", "-display", "none",
                 "-chardev", f"socket,id=monitor,fd={there.fileno()}", "-qmp", "chardev:monitor", *more],
                pass_fds=[there.fileno()], stderr=subprocess.DEVNULL)
        here.settimeout(PATIENCE)
        self._socket = here
        self._lines = here.makefile()
        self._lines.readline()
        self.ask("qmp_capabilities")

    def tell(self, *commands):
        """In one breath, without an answer."""
        text = "".join(json.dumps({"execute": name, "arguments": arguments}) + "\n"
                       for name, arguments in commands)
        self._socket.sendall(text.encode())

    def answer(self):
        """The next one. TimeoutError: there is none."""
        while True:
            message = json.loads(self._lines.readline())
            if "event" not in message:
                return message["return"]

    def ask(self, name, **arguments):
        self.tell((name, arguments))
        return self.answer()

    def end(self):
        self._process.kill()
        self._process.wait()


def status_of(qemu):
    """Of the migration, in the end; "hangs" if the monitor does not say."""
    with tempfile.TemporaryDirectory() as folder:
        uri = f"unix:{pathlib.Path(folder) / 'migration'}"
        source, destination = Machine(qemu), Machine(qemu, "-incoming", "defer")
        try:
            for machine in source, destination:
                machine.ask("migrate-set-capabilities",
                            capabilities=[{"capability": "return-path", "state": True}])
            destination.ask("migrate-incoming", uri=uri)
            source.tell(("migrate", {"uri": uri}), ("migrate_cancel", {}))
            source.answer()
            source.answer()
            end = time.monotonic() + PATIENCE
            status = "cancelling"
            while status == "cancelling" and time.monotonic() < end:
                status = source.ask("query-migrate").get("status")
            return status
        except TimeoutError:
            return "hangs"
        except (KeyError, json.JSONDecodeError) as error:
            return f"no answer: {error}"
        finally:
            source.end()
            destination.end()


def main():
    failed = 0
    print(f"1..{len(sys.argv) - 1}")
    for qemu in sys.argv[1:]:
        version = subprocess.check_output([qemu, "--version"], text=True).split()[3]
        found = collections.Counter(status_of(qemu) for _ in range(TRIES))
        may = {"cancelled", "hangs"} if version.startswith(HANG) else {"cancelled"}
        failed += not found.keys() <= may
        print(f"{'ok' if found.keys() <= may else 'not ok'} - QEMU {version}, migrations cancelled "
              f"before they are connected: {dict(found)}", flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
