#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The manual page and the completion of bash have the commands and the options of --help.

    test_page.py TERN
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

from tap import Program, equal, run_all

TOOLS = pathlib.Path(__file__).parents[2] / "tools"
PAGE = (TOOLS / "tern.8").read_text()
COMPLETION = TOOLS / "tern.bash-completion"
# argp's own, of every command.
COMMON = {"--help", "--usage", "--version"}
# Explained once, below OPTIONS.
SHARED = {"--json", "--sysfs"}


def commands(tern):
    text = tern.good("--help").split("Commands:\n")[1].split("\n\n")[0]
    return re.findall(r"^  (\w+) ", text, re.MULTILINE)


def options(tern, command):
    text = tern.good(command, "--help")
    return set(re.findall(r"^ +(?:-., )?(--[a-z-]+)", text, re.MULTILINE)) - COMMON


def section(name):
    return re.search(rf'^\.SH {name}\n(.*?)(?=^\.SH |\Z)', PAGE, re.MULTILINE | re.DOTALL)[1]


def named(text):
    return {word.replace("\\", "") for word in re.findall(r"\\-\\-[a-z\\-]+", text)}


def page_has_each_command(tern):
    found = re.findall(r"^\.SS (\w+)$", section("COMMANDS"), re.MULTILINE)
    equal(found, commands(tern), "below COMMANDS")
    found = re.findall(r'^\.SY "tern (\w+)"$', section("SYNOPSIS"), re.MULTILINE)
    equal(found, commands(tern), "in the synopsis")


def page_has_each_option(tern):
    parts = re.split(r"^\.SS (\w+)\n", section("COMMANDS"), flags=re.MULTILINE)
    texts = dict(zip(parts[1::2], parts[2::2]))
    parts = re.split(r'^\.SY "tern (\w+)"\n', section("SYNOPSIS"), flags=re.MULTILINE)
    usages = dict(zip(parts[1::2], parts[2::2]))
    for command in commands(tern):
        expected = options(tern, command)
        found = set()
        for item in re.findall(r"^\.TP\n(\.B.*)$", texts[command], re.MULTILINE):
            found |= named(item)
        equal(found, expected - SHARED, f"options below {command}")
        # The synopsis leaves out what is for tests.
        equal(named(usages[command]), expected - {"--sysfs"}, f"synopsis of {command}")
    equal(named(section("OPTIONS")), COMMON | SHARED)


def page_has_no_warning(_):
    for command in (["man", "--warnings", "-l"], ["groff", "-ww", "-man", "-Tutf8", "-z"]):
        done = subprocess.run([*command, TOOLS / "tern.8"], stdout=subprocess.DEVNULL, check=True,
                              stderr=subprocess.PIPE, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"})
        equal(done.stderr.decode(), "", command[0])


def completed(*words):
    """What bash offers for the last word."""
    script = f'. {COMPLETION}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tern; ' \
        '[ ${#COMPREPLY[@]} -eq 0 ] || printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", script, "bash", "tern", *words], check=True,
                          capture_output=True, text=True)
    equal(done.stderr, "", words)
    return set(done.stdout.splitlines())


def completion_has_each_command_and_option(tern):
    equal(completed(""), set(commands(tern)) | COMMON)
    for command in commands(tern):
        equal(completed(command, "--"), options(tern, command) | COMMON - {"--version"}, command)
    equal(completed("de"), {"decode"})


def completion_has_devices(_):
    uuids = {"7e100000-0000-4000-8000-00000000000a", "80000000-0000-4000-8000-00000000000b"}
    with tempfile.TemporaryDirectory() as root:
        types = pathlib.Path(root, "class/mdev_bus/tern/mdev_supported_types/tern-mem")
        for uuid in uuids:
            (types / "devices" / uuid).mkdir(parents=True)
            for name in "workload/mibs", "tern/precopy", "inject/flip", "tern/state":
                path = pathlib.Path(root, "bus/mdev/devices", uuid, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("")
            path.chmod(0o444)
        where = "--sysfs", root
        for command in ("remove", "show", "set", "inject", "workload", "verify", "watch"):
            equal(completed(command, *where, ""), uuids, command)
        equal(completed("show", *where, "8"), {u for u in uuids if u[0] == "8"})
        equal(completed("create", *where, ""), {"tern-mem"})
        equal(completed("workload", *where, "7e1", ""), {"mibs="})
        equal(completed("workload", "--json", *where, "7e1", "x"), set())
        # As bash splits words; and root can open what is read-only.
        split = "--sysfs", "=", root
        equal(completed("set", *split, "7e1", ""), {"precopy=", "mibs="})
        equal(completed("set", *split, "7e1", "inject/"), {"inject/flip="})
        equal(completed("inject", *split, "7e1", ""), {"flip="})
        equal(completed("set", "--sysfs", "=", f"{root}/cl"), {f"{root}/class"})
        equal(completed("set", *split, "7e1", "precopy", "="), set())
        equal(completed("set", *split, "7e1", "precopy", "=", "f"), set())
        pathlib.Path(root, "a file").write_text("")
        equal(completed("decode", f"{root}/a"), {f"{root}/a file"})


def examples_with_files(tern):
    """The commands of Documentation/tern.rst that need no device."""
    page = (TOOLS.parent / "Documentation/tern.rst").read_text()
    block = re.search(r"^\.\. example files\n(.*?)^\.\. end", page, re.MULTILINE | re.DOTALL)[1]
    lines = re.findall(r"^    (.*)", block, re.MULTILINE)
    equal(len(lines), 4, "lines")
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "tern").symlink_to(pathlib.Path(tern.path).resolve())
        for line in lines:
            done = subprocess.run(["bash", "-c", line.replace("/tmp/", f"{folder}/")], check=False,
                                  capture_output=True, env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"})
            equal((done.returncode, done.stderr.decode()), (0, ""), line)


TESTS = [
    page_has_each_command, page_has_each_option, page_has_no_warning,
    completion_has_each_command_and_option, completion_has_devices, examples_with_files,
]

if __name__ == "__main__":
    run_all(TESTS, Program(sys.argv[1]))
