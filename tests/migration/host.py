# SPDX-License-Identifier: GPL-2.0-only
"""Where a QEMU and its device are: on this machine, or on another.

The other one runs there.py, which does what it is asked for. There a QEMU is spoken
to by TCP, and its end shows as the end of that.
"""

import os
import pathlib
import socket
import subprocess
import time
import xmlrpc.client

DEVICES = pathlib.Path("/sys/bus/mdev/devices")
MODULES = pathlib.Path("/lib/modules") / os.uname().release
CONNECT_SECONDS = 300


def until_it_answers(call):
    """There is nothing to wait for on this side: it is asked again."""
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            return call()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


class Files:
    """What is done on the machine that it is done on."""

    def load_module(self, path):
        # A kernel without any has all that is needed built in.
        if MODULES.exists():
            self._load_what_it_needs(path)
        subprocess.check_call(["insmod", path])

    def _load_what_it_needs(self, path):
        depends = subprocess.check_output(["modinfo", "-F", "depends", path], text=True)
        modules = [name for name in depends.strip().split(",") if name]
        subprocess.check_call(["modprobe", "-a", "vfio_iommu_type1", *modules])

    def unload_module(self):
        subprocess.check_call(["rmmod", "tern"])

    def read(self, path):
        return pathlib.Path(path).read_text()

    def write(self, path, text):
        pathlib.Path(path).write_text(text)

    def exists(self, path):
        return pathlib.Path(path).exists()

    def devices(self):
        return [path.name for path in DEVICES.glob("*")]

    def make_folder(self, path):
        pathlib.Path(path).mkdir(parents=True, exist_ok=True)

    def popen(self, command, output, descriptors=()):
        with open(output, "wb") as stream:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                pass_fds=descriptors,
            )


class Here(Files):
    """This machine: a QEMU inherits its lines."""

    def __init__(self):
        self._theirs = []

    def line(self, name):
        """Our end of a line to the QEMU that is started next, and its chardev."""
        ours, theirs = socket.socketpair()
        self._theirs.append(theirs)
        return ours, f"socket,id={name},fd={theirs.fileno()}"

    def start(self, command, output):
        theirs, self._theirs = self._theirs, []
        try:
            return self.popen(command, output, [each.fileno() for each in theirs])
        finally:
            for each in theirs:
                each.close()

    def connect(self, line):
        return line


class Remote:
    """A process of another machine."""

    pid = None

    def __init__(self, rpc, number):
        self._rpc = rpc
        self._number = number

    def wait(self):
        return self._rpc.wait(self._number)

    def kill(self):
        self._rpc.kill(self._number)


class There:
    """Another machine, which runs there.py."""

    def __init__(self, address, port):
        self.address = address
        self._rpc = xmlrpc.client.ServerProxy(f"http://{address}:{port}", allow_none=True)
        self._port = port

    def __getattr__(self, name):
        return getattr(self._rpc, name)

    def wait_until_up(self):
        """It may still be booting."""
        until_it_answers(self._rpc.devices)

    def line(self, name):
        self._port += 1
        chardev = f"socket,id={name},host=0.0.0.0,port={self._port},server=on,wait=off"
        return self._port, chardev

    def start(self, command, output):
        return Remote(self._rpc, self._rpc.start(command, output))

    def connect(self, line):
        """To a QEMU that has just begun to start."""
        return until_it_answers(lambda: socket.create_connection((self.address, line)))
