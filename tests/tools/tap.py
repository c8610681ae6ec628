# SPDX-License-Identifier: GPL-2.0-only
"""Tests of a program: each is a function, and any exception fails it."""

import json
import os
import subprocess
import sys
import traceback


# To look for leaks takes longer than all the rest, so one run of so many does.
LEAKS_EACH = 8


class Program:
    def __init__(self, path):
        self.path = path
        self.runs = 0

    def environment(self):
        self.runs += 1
        options = os.environ.get("ASAN_OPTIONS", "")
        leaks = int(self.runs % LEAKS_EACH == 0)
        return os.environ | {"ASAN_OPTIONS": f"{options}:detect_leaks={leaks}"}

    def run(self, *words, stdin=b""):
        """(exit status, stdout, stderr). A sanitizer's report fails the test."""
        done = subprocess.run([self.path, *words], input=stdin, capture_output=True, check=False,
                              env=self.environment())
        out, err = done.stdout.decode(), done.stderr.decode()
        assert done.returncode in (0, 1, 2), f"{words}: status {done.returncode}\n{err}"
        assert "Sanitizer" not in err and "runtime error" not in err, err
        return done.returncode, out, err

    def good(self, *words, **options):
        status, out, err = self.run(*words, **options)
        assert status == 0 and not err, f"{words}: status {status}: {err}"
        return out

    def json(self, *words):
        return json.loads(self.run(*words, "--json")[1])

    def start(self, *words):
        """A process whose stdout is read line by line."""
        return subprocess.Popen([self.path, *words], stdout=subprocess.PIPE, text=True,
                                env=self.environment())

    def error(self, *words, **options):
        """The one line of a failure."""
        status, _, err = self.run(*words, **options)
        assert status == 1, f"{words}: status {status}, expected 1"
        assert err.startswith("tern: ") and err.count("\n") == 1, f"{words}: {err!r}"
        return err.strip()


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
