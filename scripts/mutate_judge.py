#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Build one change of a source file, and run the tests until one fails.

Each worker has a copy of the tree and of the module as kbuild has built it. For one
changed file the commands that kbuild keeps in its .cmd files are run again: its gcc, and
the two links. That takes a second where make takes five.
"""

import os
import pathlib
import re
import selectors
import shutil
import signal
import subprocess
import time

# A test has 30 s before its harness ends it. A kernel that prints nothing for so long hangs.
SILENCE = 60
# How long a change may take: so much longer than the tests without any change, which take a
# minute on a machine that does nothing else.
SLOWER = 3
SECONDS_AT_LEAST = 45

FAILED = re.compile(r"^\s*not ok\b.*")
HOST_FAILED = re.compile(r"^(not ok.*|.*Assertion .*failed.*|.*runtime error:.*|"
                         r".*AddressSanitizer.*|.*LeakSanitizer.*|.*Error \d+$)")


def command_of(target):
    """The command that made @target, as kbuild has kept it."""
    line = (target.parent / f".{target.name}.cmd").read_text().splitlines()[0]
    return line.partition(":=")[2].strip()


def runs_in(module, kdir):
    """Where kbuild has run these commands: since Linux 6.13 in the folder of the module."""
    return kdir if str(module) in command_of(module / "tern.o") else module


def complaints(top):
    """What no kernel log may have: scripts/complaints.sh."""
    script = f'. "{top}/scripts/complaints.sh" && printf %s "$complaints"'
    return re.compile(subprocess.check_output(["bash", "-c", script], text=True))


def end(process):
    """End a process that was started here, and all that it has started."""
    members = {process.pid: None}
    for number in (signal.SIGTERM, signal.SIGKILL):
        for _ in range(20):
            members = alive(members)
            for pid in members:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
            if not members:
                return
            time.sleep(0.1)
            process.poll()


def alive(members):
    """Those of @members that still run, and their children, each with its time of start."""
    found = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        state, parent, began = stat[0], int(stat[1]), stat[19]
        # A number can be given to another process.
        known = pid in members and members[pid] in (None, began)
        if state != "Z" and (known or parent in members or parent in found):
            found[pid] = began
    return found


class Worker:
    """A folder of its own, where one change at a time is built and tested."""

    def __init__(self, folder, tree, module, kdir, selftests):
        self.folder = folder
        self.tree = folder / "tree"
        self.module = folder / "module"
        self.runs_in = self.module if runs_in(module, kdir) == module else kdir
        self.built = module
        self.selftests = selftests
        self.complaints = complaints(tree)
        folder.mkdir(parents=True, exist_ok=True)
        self.copy(tree, self.tree)
        self.copy(module, self.module)
        # A run that was killed may have left objects of a change, newer than their source.
        shutil.rmtree(folder / "host", ignore_errors=True)
        mod = self.module / "tern.mod"
        mod.write_text(self.here(mod.read_text()))
        self.log = folder / "log"
        self.seconds = {"host": 600, "uml": 600}
        self.unchanged = {}

    def measure(self, host, jobs, parts, traced):
        """Run tests without any change: this worker's part of them. The first failure, or None.

        What a change may take is so much longer than all parts. @traced is a folder with
        the module that keeps what each job has run: hits() has that afterwards.
        """
        modules = [traced / name for name in ("tern.ko", "tests/coverage/tern_trace.ko")]
        (self.folder / "uml/hits").unlink(missing_ok=True)
        # The module that changes will be linked into.
        failure = self.uml(["null_test"])
        if failure:
            return failure
        for name, run, programs in (("host", self.host, host),
                                    ("uml", lambda jobs: self.uml(jobs, modules), jobs)):
            began = time.monotonic()
            failure = run(programs)
            if failure:
                return failure
            took = parts * (time.monotonic() - began)
            self.seconds[name] = max(SECONDS_AT_LEAST, SLOWER * took)
        return None

    @staticmethod
    def copy(source, target):
        # With the times: neither make nor cache.sh shall do anything again.
        subprocess.run(["rsync", "-a", "--delete", "--exclude=/build", f"{source}/", f"{target}/"],
                       check=True)

    def here(self, text):
        return text.replace(str(self.built), str(self.module))

    def again(self, target):
        """Run what kbuild ran for @target. True if that worked."""
        command = self.here(command_of(self.built / target))
        with open(self.log, "a") as log:
            return subprocess.run(command, shell=True, cwd=self.runs_in, stdout=log,
                                  stderr=log).returncode == 0

    def compile(self, place):
        """Write and compile the change: "builds", "broken", or "same" as without it."""
        self.log.write_text("")
        target = place.path.removesuffix(".c") + ".o"
        # Compiled here, too: an object has the names of its folders.
        if target not in self.unchanged:
            self.again(target)
            self.unchanged[target] = (self.module / target).read_bytes()
        self.write(place)
        if not self.again(target):
            return "broken"
        same = (self.module / target).read_bytes() == self.unchanged[target]
        return "same" if same else "builds"

    def write(self, place):
        for root in (self.tree, self.module):
            file = root / place.path
            file.write_text(place.apply(file.read_text("latin-1")), "latin-1")

    def restore(self, place):
        """Undo the change. The host tests must be built again, so its time is new there."""
        target = place.path.removesuffix(".c") + ".o"
        for path in (place.path, target):
            shutil.copy2(self.built / path, self.module / path)
        shutil.copy(self.built / place.path, self.tree / place.path)

    def locks(self):
        """What the check of lint misses that compares kernel-doc and assertions, or None."""
        done = subprocess.run([self.tree / "scripts/locks.py"], cwd=self.tree, text=True,
                              stdout=subprocess.PIPE, check=False)
        return f"locks.py: {done.stdout.strip()}" if done.returncode else None

    def host(self, programs):
        """The first host test that fails, or None."""
        done = subprocess.Popen(
            ["make", "-s", "-C", self.tree / "tests/host", "check", "COMPILERS=gcc", "WERROR=",
             f"TESTS={' '.join(programs)}", f"OUT={self.folder / 'host'}"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True)
        lines = []
        verdict = self.follow(done, lines.append, self.seconds["host"], self.seconds["host"])
        with open(self.log, "a") as log:
            log.writelines(line + "\n" for line in lines)
        if verdict:
            return f"host: {verdict}"
        if done.returncode == 0:
            return None
        failed = [line for line in lines if HOST_FAILED.match(line)]
        return "host: " + (failed or [f"status {done.returncode}"])[0].strip()

    def hits(self):
        """What each job of measure() has run: offsets, for mutate_reach."""
        found = {}
        for line in (self.folder / "uml/hits").read_text().splitlines():
            if line.startswith("# "):
                offsets = found.setdefault(line.removeprefix("# "), set())
            else:
                offsets.add(int(line))
        return found

    def uml(self, jobs, modules=None):
        """The first failure of the selftests on User Mode Linux, or None."""
        if not modules and not (self.again("tern.o") and self.again("tern.ko")):
            return "uml: the module does not link"
        out = self.folder / "uml"
        (out / "console").unlink(missing_ok=True)
        seconds = self.seconds["uml"]
        arguments = [self.tree / "scripts/uml.sh", "--out", out, "--timeout", str(int(seconds) + 60)]
        for program in {job.split()[0] for job in jobs}:
            arguments += ["--add", self.program(program)]
        for module in modules or [self.module / "tern.ko"]:
            arguments += ["--add", module]
        arguments += ["--add", self.tree / "tests/uml/selftests.sh",
                      "--", "sh", "./selftests.sh", *jobs]
        kernel = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  stdin=subprocess.DEVNULL, start_new_session=True)
        lines = []
        verdict = self.follow(kernel, lines.append, SILENCE, seconds, FAILED, out / "console")
        with open(self.log, "a") as log:
            log.writelines(line + "\n" for line in lines)
        self.lines = lines
        if any("another kernel is using" in line for line in lines):
            raise RuntimeError(f"a test of an earlier change still runs in {out}")
        if not verdict and kernel.returncode:
            verdict = next((line for line in reversed(lines) if line.startswith("uml:")),
                           f"status {kernel.returncode}")
        if not verdict:
            return None
        job = [line.removeprefix("# job: ") for line in lines if line.startswith("# job: ")]
        return f"{(job or ['boot'])[-1].split()[0]}: {verdict.strip()}"

    def program(self, name):
        scripts = (self.tree / "tests" / folder / name for folder in ("selftests", "uml"))
        return next(filter(pathlib.Path.exists, scripts)) if name.endswith(".sh") \
            else self.selftests / name

    def follow(self, process, line, silence, seconds, failed=None, console=None):
        """Read what @process prints until it ends or fails. None if it ended by itself."""
        began = heard = time.monotonic()
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                verdict = None
                if selector.select(1):
                    data = os.read(process.stdout.fileno(), 65536)
                    if not data:
                        process.wait()
                        return None
                    heard = time.monotonic()
                    *whole, rest = (rest + data).split(b"\n")
                    for text in (entry.decode(errors="replace").rstrip("\r") for entry in whole):
                        line(text)
                        if failed and failed.match(text):
                            verdict = verdict or text
                now = time.monotonic()
                if not verdict and console and console.exists():
                    found = self.complaints.search(console.read_text(errors="replace"))
                    verdict = found and f"the kernel complained: {found[0]}"
                if not verdict and now - heard > silence:
                    verdict = f"no output for {silence:.0f} s"
                if not verdict and now - began > seconds:
                    verdict = f"no end after {seconds:.0f} s"
                if verdict:
                    end(process)
                    process.wait()
                    return verdict
