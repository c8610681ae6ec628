# SPDX-License-Identifier: GPL-2.0-only
"""Tests of a program: each is a function, and any exception fails it."""

import json
import os
import select
import subprocess
import sys
import traceback


class Program:
    def __init__(self, path):
        self.path = path
        self.known = set()

    def environment(self, *kind):
        """To look for leaks takes longer than all the rest: in the first run of each kind."""
        options = os.environ.get("ASAN_OPTIONS", "")
        leaks = int(kind not in self.known)
        self.known.add(kind)
        return os.environ | {"ASAN_OPTIONS": f"{options}:detect_leaks={leaks}"}

    def run(self, *words, stdin=b""):
        """(exit status, stdout, stderr). A sanitizer's report fails the test."""
        test = sys._getframe(2).f_code.co_name
        done = subprocess.run([self.path, *words], input=stdin, capture_output=True, check=False,
                              env=self.environment(*words[:1], test))
        out, err = done.stdout.decode(), done.stderr.decode()
        assert done.returncode in (0, 1, 2), f"{words}: status {done.returncode}\n{err}"
        assert "Sanitizer" not in err and "runtime error" not in err, err
        return done.returncode, out, err

    def good(self, *words, **options):
        status, out, err = self.run(*words, **options)
        assert status == 0 and not err, f"{words}: status {status}: {err}"
        return out

    def json(self, *words, **options):
        return json.loads(self.good(*words, "--json", **options))

    def start(self, *words, stdout=subprocess.PIPE):
        """A process whose stdout is read by next_line()."""
        return subprocess.Popen([self.path, *words], stdout=stdout, bufsize=0,
                                env=self.environment(words[0], "start"))

    def error(self, *words, **options):
        """The one line of a failure."""
        status, _, err = self.run(*words, **options)
        assert status == 1, f"{words}: status {status}, expected 1"
        assert err.startswith("tern: ") and err.count("\n") == 1, f"{words}: {err!r}"
        return err.strip()


def next_line(process, seconds=60):
    """What it prints next."""
    if select.select([process.stdout], [], [], seconds)[0]:
        return process.stdout.readline().decode()
    process.kill()
    raise AssertionError(f"no line in {seconds} s")


def equal(found, expected, what=""):
    assert found == expected, f"{what}: expected {expected!r}, found {found!r}"


def run_all(tests, *arguments):
    failed = 0
    print("TAP version 13", f"1..{len(tests)}", sep="\n")
    for number, test in enumerate(tests, 1):
        try:
            test(*arguments)
        except Exception as error:
            failed += 1
            where = traceback.extract_tb(error.__traceback__)
            line = [frame.lineno for frame in where if frame.name == test.__name__][-1]
            text = f"{type(error).__name__}: {error}".splitlines()[:20]
            print(*(f"# line {line}: {part}" for part in text), sep="\n")
            print(f"not ok {number} {test.__name__}")
        else:
            print(f"ok {number} {test.__name__}", flush=True)
    sys.exit(failed != 0)
