#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The commands for devices, on a sysfs that is a folder: what they read, write and print.

    test_device.py TERN

What only a kernel does is in tool_test.sh: devices that come and go, and its errors.
"""

import contextlib
import json
import os
import pathlib
import pty
import subprocess
import sys
import tempfile
import time

from tap import Program, equal, next_line, run_all

A = "7e100000-0000-4000-8000-00000000000a"
B = "7e100000-0000-4000-8000-00000000000b"
C = "00000000-0000-4000-8000-00000000000c"
FOLDER = tempfile.TemporaryDirectory()
STATES = "running 5000000000\nstopped-saving 2000000\nstopped 1500000\n"
TREE = {
    "tern": {"memory_mib": "64\n", "precopy": "1\n", "state": "running\n", "passes": "2\n",
             "pass_bytes": "100\n20\n", "pending_bytes": "0\n", "late_marks": "0\n"},
    "stats": {"time_in_state": STATES, "total_bytes": "120\n", "refused": ""},
    "inject": {"state": "stopped 5 1\nerror 7\n", "flip": "0\n", "hits": "state 3\nflip 0\n"},
    "workload": {"mibs": "0\n", "set_mib": "16\n", "pattern": "hot\n", "seed": "0\n",
                 "writes": "7\n", "verify": "pages 256 written 7 bad 0\n", "spoil": ""},
}


class Sysfs:
    """The folders of two types and of three devices."""

    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(dir=FOLDER.name))
        self.types = self.root / "class/mdev_bus/tern/mdev_supported_types"
        for uuid, kind in (A, "tern-mem"), (B, "tern-mem"), (C, "tern-null"):
            self.add(uuid, kind)

    def add(self, uuid, kind):
        device = self.path(uuid)
        for folder, files in TREE.items():
            (device / folder).mkdir(parents=True)
            for name, text in files.items():
                (device / folder / name).write_text(text)
        (device / "tern/reinit").write_text("")
        os.chmod(device / "tern/reinit", 0o200)
        (device / "power").mkdir()
        (device / "power/control").write_text("auto\n")
        (device / "remove").write_text("")
        (self.types / kind / "devices").mkdir(parents=True, exist_ok=True)
        (self.types / kind / "devices" / uuid).symlink_to(device)
        (self.types / kind / "name").write_text("a name\n")
        (self.types / kind / "available_instances").write_text("61\n")

    def path(self, uuid, name=""):
        return self.root / "bus/mdev/devices" / uuid / name

    def text(self, uuid, name):
        return self.path(uuid, name).read_text()

    def option(self):
        return "--sysfs", str(self.root)


def list_in_text_and_json(tern):
    sysfs = Sysfs()
    rows = tern.json("list", *sysfs.option())
    equal([(r["uuid"], r["type"], r["state"], r["memory_mib"], r["open_by"]) for r in rows],
          [(A, "tern-mem", "running", 64, None), (B, "tern-mem", "running", 64, None),
           (C, "tern-null", "running", 64, None)])
    lines = tern.good("list", *sysfs.option()).splitlines()
    equal(lines[0].split(), ["uuid", "type", "state", "memory_mib", "open_by"])
    equal(lines[3].split(), [C, "tern-null", "running", "64", "-"])
    equal(tern.json("list", "--types", *sysfs.option()),
          [{"type": kind, "parent": "tern", "available": 61, "name": "a name"}
           for kind in ("tern-mem", "tern-null")])


def show_everything(tern):
    sysfs = Sysfs()
    document = tern.json("show", A, *sysfs.option())
    equal(list(document), ["uuid", "type", "parent", "open_by", "inject", "stats", "tern",
                           "workload"])
    equal(document["tern"]["pass_bytes"], [100, 20])
    equal(document["stats"]["time_in_state"],
          {"running": 5000000000, "stopped-saving": 2000000, "stopped": 1500000})
    equal(document["stats"]["refused"], {})
    equal(document["inject"]["state"], "stopped 5 1\nerror 7")
    assert "verify" not in document["workload"] and "reinit" not in document["tern"], document
    text = tern.good("show", A, *sysfs.option())
    assert "  state  stopped 5 1\n         error 7\n" in text, text
    assert "  pass_bytes     100 20\n" in text, text
    for folder, files in document.items():
        for name in files if isinstance(files, dict) else ():
            assert f"  {name}" in text, f"{folder}/{name}"


def the_beginning_of_a_uuid(tern):
    sysfs = Sysfs()
    equal(tern.json("show", "0", *sysfs.option())["uuid"], C)
    equal(tern.json("show", B.upper(), *sysfs.option())["uuid"], B)
    assert "2 devices begin so" in tern.error("show", "7e1", *sysfs.option())
    for name in "8", "", A + "0", "*":
        assert "Tern has no such device" in tern.error("show", name, *sysfs.option()), name


def set_in_order(tern):
    """LAB-18: what sysfs has, and nothing else."""
    sysfs = Sysfs()
    tern.good("set", A, "memory_mib=128", "workload/mibs=9", "spoil=3", *sysfs.option())
    equal([sysfs.text(A, name) for name in ("tern/memory_mib", "workload/mibs", "workload/spoil")],
          ["128", "9\n", "3"])
    # As sysfs has them: a link to a driver, and folders of all devices.
    (sysfs.root / "driver").mkdir()
    (sysfs.root / "driver/unbind").write_text("")
    sysfs.path(A, "driver").symlink_to(sysfs.root / "driver")
    for word in ("frob=1", "../x=1", "tern/../remove=1", "/etc/passwd=1", "driver/unbind=1",
                 "power/control=on", "tern/=1", "tern=1", "./remove=1", "remove=1"):
        assert "no attribute" in tern.error("set", A, word, *sysfs.option()), word
    equal([sysfs.text(A, "tern/memory_mib"), sysfs.text(A, "remove")], ["128", ""])


def inject_rules(tern):
    sysfs = Sysfs()
    equal(tern.json("inject", A, *sysfs.option()),
          [{"rule": "state", "hits": 3, "value": "stopped 5 1\nerror 7"},
           {"rule": "flip", "hits": 0, "value": "0"}])
    equal(tern.good("inject", A, *sysfs.option()).splitlines()[1:],
          ["state                 3  stopped 5 1", "                         error 7",
           "flip                  0  0"])
    sysfs.path(A, "inject/state").write_text("")
    tern.good("inject", A, "state=running 5", "flip=7 1", "state=stopped 6", *sysfs.option())
    equal(sysfs.text(A, "inject/state"), "running 5\nstopped 6")
    equal(sysfs.text(A, "inject/flip"), "7 1")
    sysfs.path(A, "inject/flip").write_text("")
    tern.good("inject", A, "--clear", *sysfs.option())
    equal(sysfs.text(A, "inject/flip"), "0")
    # With one word that is wrong nothing is written, not even what ends the others.
    sysfs.path(A, "inject/flip").write_text("5 1")
    sysfs.path(A, "inject/state").write_text("running 7")
    assert "no rule frob" in tern.error("inject", A, "--clear", "state=1 5", "frob=1",
                                        *sysfs.option())
    lines = [f"state=running {i:04}" for i in range(400)]
    assert "longer than sysfs takes" in tern.error("inject", A, "--clear", *lines,
                                                   *sysfs.option())
    equal((sysfs.text(A, "inject/flip"), sysfs.text(A, "inject/state")), ("5 1", "running 7"))
    assert "no rule ../tern/state" in tern.error("inject", A, "../tern/state=1", *sysfs.option())


def workload_in_order(tern):
    """The set cannot be changed while it runs: the rate is last, and 0 is first."""
    sysfs = Sysfs()
    equal(tern.json("workload", A, *sysfs.option()),
          {"mibs": 0, "set_mib": 16, "pattern": "hot", "seed": 0, "writes": 7})
    pipe = sysfs.root / "pipe"
    os.mkfifo(pipe)
    with open(os.open(pipe, os.O_RDWR), "rb", buffering=0) as written:
        for name in "mibs", "seed":
            sysfs.path(A, f"workload/{name}").unlink()
            sysfs.path(A, f"workload/{name}").symlink_to(pipe)
        for words, expected in (("mibs=5", "seed=1"), b"15"), (("seed=2", "mibs=0"), b"02"):
            tern.good("workload", A, *words, *sysfs.option())
            equal(written.read(9), expected, words)
    assert "a workload has no frob" in tern.error("workload", A, "frob=1", *sysfs.option())


def verdicts(tern):
    sysfs = Sysfs()
    equal(tern.good("verify", A, *sysfs.option()), "pages 256 written 7 bad 0\n")
    equal(tern.json("verify", A, *sysfs.option()),
          {"pages": 256, "written": 7, "bad": 0, "first_bad": None})
    verdict = "pages 256 written 7 bad 2\npage 5 holds page 7\n"
    sysfs.path(A, "workload/verify").write_text(verdict)
    equal(tern.run("verify", A, *sysfs.option()), (1, verdict, ""))
    equal(json.loads(tern.run("verify", "--json", A, *sysfs.option())[1])["first_bad"],
          "page 5 holds page 7")
    sysfs.path(A, "workload/verify").write_text("all is well\n")
    assert "unknown verdict" in tern.error("verify", A, *sysfs.option())
    sysfs.path(A, "workload/verify").unlink()
    assert "No such file" in tern.error("verify", A, *sysfs.option())


def create_writes_a_uuid(tern):
    """LAB-18"""
    sysfs = Sysfs()
    created = sysfs.types / "tern-mem/create"
    created.write_text("")
    uuid = tern.good("create", "mem", *sysfs.option()).strip()
    equal(created.read_text(), uuid)
    equal((len(uuid), uuid[14], uuid[19] in "89ab"), (36, "4", True), uuid)
    equal(tern.json("create", "mem", "--uuid", A.upper(), *sysfs.option())["uuid"], A)
    # mdev itself takes these.
    created.write_text("")
    for wrong in A + "x", A + "\n", A[:-1], A.replace("-", "0"), "":
        line = tern.error("create", "mem", "--uuid", wrong, *sysfs.option())
        assert "not created: give a whole UUID" in line, line
    equal(created.read_text(), "")
    for words in ("frob",), ("../tern-mem",):
        tern.error("create", *words, *sysfs.option())
    assert "no such type of parent x" in tern.error("create", "--parent", "x", "mem",
                                                    *sysfs.option())


def no_module(tern):
    for words in ("list",), ("show", A), ("create", "mem"), ("list", "--types"), ("watch", A):
        line = tern.error(*words, "--sysfs", FOLDER.name)
        assert line.endswith("the module is not loaded: run 'modprobe tern'"), line


def replace(path, text):
    """At once: a reader sees the old text or the new one."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


def watch_is_a_log_of_changes(tern):
    sysfs = Sysfs()
    watch = tern.start("watch", "--json", "--interval", "0.02", A, *sysfs.option())
    looks = [json.loads(next_line(watch))]
    for pending in 1000, 500:
        time.sleep(0.2)  # looks that find no change, and print nothing
        replace(sysfs.path(A, "tern/pending_bytes"), f"{pending}\n")
        looks.append(json.loads(next_line(watch)))
    replace(sysfs.path(A, "tern/state"), "stopped-saving\n")
    looks.append(json.loads(next_line(watch)))
    sysfs.path(A).rename(sysfs.path(A).with_name("gone"))
    rest = watch.communicate(timeout=60)[0].splitlines()
    equal(watch.returncode, 0, "status")
    looks += map(json.loads, rest)
    equal([(look["state"], look["pending_bytes"]) for look in looks],
          [("running", 0), ("running", 1000), ("running", 500), ("stopped-saving", 500),
           ("removed", 500)])
    line = tern.good("watch", "--count", "1", B, *sysfs.option())
    assert " s  running          pass   2  pending      0.0 MiB  sent " in line, line


def watch_gives_rates(tern):
    sysfs = Sysfs()
    replace(sysfs.path(A, "tern/state"), "running-saving\n")
    watch = tern.start("watch", "--json", "--interval", "1", "--count", "2", A, *sysfs.option())
    first = json.loads(next_line(watch))
    replace(sysfs.path(A, "stats/total_bytes"), f"{120 + (8 << 20)}\n")
    second = json.loads(watch.communicate(timeout=60)[0])
    expected = 8 / (second["seconds"] - first["seconds"])
    assert abs(second["sent_mibs"] - expected) < 1, (second, expected)
    equal(second["dirtied_mibs"], second["sent_mibs"])
    equal((first["sent_mibs"], first["dirtied_mibs"]), (0, 0))


def watch_tells_the_last_stop(tern):
    sysfs = Sysfs()
    watch = tern.start("watch", "--json", "--interval", "0.02", A, *sysfs.option())
    downtimes = [json.loads(next_line(watch))["downtime_ms"]]
    # The time of a pause before is not counted; what comes is kept once the device runs.
    for state, ms in ("stopped", 4.5), ("stopped-saving", 40), ("running", 40), ("stopped", 50):
        replace(sysfs.path(A, "stats/time_in_state"),
                f"running 5000000000\nstopped-saving 2000000\nstopped {int(ms * 1e6)}\n")
        replace(sysfs.path(A, "tern/passes"), f"{len(downtimes)}\n")
        replace(sysfs.path(A, "tern/state"), f"{state}\n")
        while (look := json.loads(next_line(watch)))["state"] != state:
            pass
        downtimes.append(look["downtime_ms"])
    watch.kill()
    watch.wait()
    equal(downtimes, [0, 3, 38.5, 38.5, 10])


def watch_draws_on_a_terminal(tern):
    sysfs = Sysfs()
    screen, end = pty.openpty()
    watch = tern.start("watch", "--interval", "0.02", "--count", "3", A, *sysfs.option(),
                       stdout=end)
    os.close(end)
    text = b""
    # A terminal that nothing has open any more is an error.
    with contextlib.suppress(OSError):
        while part := os.read(screen, 4096):
            text += part
    os.close(screen)
    equal(watch.wait(timeout=60), 0, "status")
    views = text.decode().replace("\r\n", "\n").split("\x1b[H\x1b[J")
    equal(len(views), 4, "views")
    equal(views[0], "", "before the first one")
    for view in views[1:]:
        found = dict(line.split() for line in view.splitlines())
        equal(found["uuid"], A)
        equal((found["state"], found["pass"], found["pending_bytes"]), ("running", "2", "0"))


def watch_ends_with_an_error_that_is_no_removal(tern):
    sysfs = Sysfs()
    sysfs.path(A, "stats/time_in_state").unlink()
    line = tern.error("watch", A, *sysfs.option())
    assert line.startswith(f"tern: {A}: not read, No such file or directory"), line


def output_that_cannot_be_written(tern):
    sysfs = Sysfs()
    for words in (["list"], ["list", "--json"], ["show", A], ["watch", A]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([tern.path, *words, *sysfs.option()], stdout=full, check=False,
                                  stderr=subprocess.PIPE, timeout=60, env=tern.environment(*words))
        equal((done.returncode, done.stderr.decode()),
              (1, "tern: standard output: not all was written: No space left on device\n"), words)


def what_cannot_be_read(tern):
    """An attribute that is there and fails, as those of a device that goes."""
    for command in ["show"], ["workload"], ["inject"]:
        sysfs = Sysfs()
        folder = "inject/flip" if command == ["inject"] else "workload/seed"
        sysfs.path(A, folder).unlink()
        # To read it fails: page 0 is not mapped.
        sysfs.path(A, folder).symlink_to("/proc/self/mem")
        line = tern.error(*command, A, *sysfs.option())
        assert f"{A}: not read, " in line, line


TESTS = [
    list_in_text_and_json, show_everything, the_beginning_of_a_uuid, set_in_order, inject_rules,
    workload_in_order, verdicts, create_writes_a_uuid, no_module, watch_is_a_log_of_changes,
    watch_gives_rates, watch_tells_the_last_stop, watch_draws_on_a_terminal,
    watch_ends_with_an_error_that_is_no_removal, output_that_cannot_be_written,
    what_cannot_be_read,
]

if __name__ == "__main__":
    run_all(TESTS, Program(sys.argv[1]))
