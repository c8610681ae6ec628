# SPDX-License-Identifier: GPL-2.0-only
"""A host of libvirt: a libvirtd with a system, a run folder and a UUID of its own.

Two of them on one machine share its kernel and its devices, and take each other for
another host. What the machine's root has is at /mnt.
"""

import pathlib
import re
import socket
import subprocess
import uuid

HOSTS = pathlib.Path("/run/hosts")
SHARED = pathlib.Path("/srv")  # the one folder that is the same in all hosts
MACHINE = pathlib.Path("/mnt")
CONTROL = pathlib.Path("/run/control")  # where the QEMU connects the guest's line to

LIBVIRTD_CONF = """
host_uuid = "{uuid}"
unix_sock_dir = "{sockets}"
auth_unix_rw = "none"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
"""

# No systemd and no cgroup is there, and what confines a QEMU is not tested here.
QEMU_CONF = """
user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
"""

EXCUSED = (
    r"terminating on signal 15 from pid \d+ \(libvirtd\)$",
    # On a kernel without a log of the device's writes (protocol.py).
    r"warning: [0-9a-f-]{36}: VFIO device doesn't support device and IOMMU dirty tracking$",
)


class VirshError(Exception):
    """virsh failed; the text is what it printed."""


class Job:
    """A virsh that runs beside this program."""

    def __init__(self, loop, command):
        self.status = None
        self._loop = loop
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        loop.watch_exit(self._process.pid, self._exited)

    def wait(self):
        self._loop.until(lambda: self.status is not None, "the end of virsh", seconds=600)

    def _exited(self):
        self.output = self._process.stdout.read().strip()
        self.status = self._process.wait()


class Libvirtd:
    def __init__(self, loop, name, root, logs):
        self.root = HOSTS / name
        self.control = None
        self._loop = loop
        self._listener = None
        self._sockets = SHARED / name
        self.uri = f"qemu:///system?socket={self._sockets}/libvirt-sock"
        self.remote_uri = self.uri.replace("qemu:", "qemu+unix:")
        self.logs = logs / name
        self._mount(root)
        self.write("/etc/libvirt/libvirtd.conf", LIBVIRTD_CONF.format(uuid=uuid.uuid4(), sockets=self._sockets))
        self.write("/etc/libvirt/qemu.conf", QEMU_CONF)
        self._start()

    def _mount(self, root):
        layers = HOSTS / f"{self.root.name}.layers"
        shared = HOSTS / "shared"
        cache = HOSTS / "cache"
        folders = self.root, layers / "upper", layers / "work", shared / self.root.name, cache, self.logs
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        layered = f"lowerdir={root},upperdir={layers}/upper,workdir={layers}/work"
        mount("-t", "overlay", "-o", layered, "overlay", self.root)
        self._inside("/usr/bin/qemu-system-i386").unlink()  # libvirt would examine it, too
        for folder in "/proc", "/sys", "/dev":
            mount("--rbind", folder, self._inside(folder))
        mount("-t", "tmpfs", "tmpfs", self._inside("/run"))
        self._inside("/run/udev").mkdir()
        for outside, inside in (
            ("/run/udev", "/run/udev"),
            ("/", MACHINE),
            (shared, SHARED),
            # What libvirt learns of a QEMU takes an emulated machine half a minute.
            (cache, "/var/cache/libvirt"),
            (self.logs, "/var/log/libvirt"),
        ):
            mount("--bind", outside, self._inside(inside))

    def _start(self):
        with open(self.logs / "output", "wb") as output:
            self._process = subprocess.Popen(
                ["chroot", self.root, "libvirtd"], stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self._loop.until_looked(self._answers, f"{self.root.name}: libvirtd's answer")

    def _answers(self):
        assert self._process.poll() is None, f"libvirtd ended: {(self.logs / 'output').read_text()}"
        try:
            return self.virsh("uri")
        except VirshError:
            return None

    def stop(self):
        if self._process.poll() is None:
            self._process.terminate()
        return self._process.wait()

    def _inside(self, path):
        return self.root / pathlib.Path(path).relative_to("/")

    def read(self, path):
        return self._inside(path).read_text()

    def write(self, path, text):
        self._inside(path).write_text(text)

    def _command(self, words):
        return ["chroot", self.root, "virsh", "-q", "-c", self.uri, *map(str, words)]

    def virsh(self, *words):
        """Run virsh, and return what it prints."""
        done = subprocess.run(
            self._command(words), stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode:
            raise VirshError(done.stderr.strip())
        return done.stdout.strip()

    def begin(self, *words):
        return Job(self._loop, self._command(words))

    def listen(self):
        """For the guest's line of the QEMU that starts next."""
        path = self._inside(CONTROL)
        path.unlink(missing_ok=True)
        if self._listener:
            self._listener.close()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()

    def accept(self, feed):
        """The line of the QEMU that has started. What came meanwhile is kept by the kernel."""
        self._listener.settimeout(60)
        self.control, _ = self._listener.accept()
        self._loop.watch_bytes(self.control, feed)

    def complaints(self, name):
        """What QEMU printed without a reason, of all that libvirt logs of a domain."""
        lines = self.read(f"/var/log/libvirt/qemu/{name}.log").splitlines()
        said = [line for line in lines if "qemu-system-x86_64: " in line]
        return [line for line in said if not any(re.search(each, line) for each in EXCUSED)]


def mount(*words):
    subprocess.check_call(["mount", *words])
