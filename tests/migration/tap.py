# SPDX-License-Identifier: GPL-2.0-only
"""What was found, in TAP."""

import contextlib
import time
import traceback


class Tap:
    def __init__(self, plan):
        self.failed = 0
        self._count = 0
        self._last = time.monotonic()
        print("TAP version 13", f"1..{plan}", sep="\n", flush=True)

    @contextlib.contextmanager
    def scenario(self, lab, tests):
        """So many tests that share a guest. Those that are not reached fail."""
        end = self._count + tests
        try:
            yield
        except Exception:
            self.note(traceback.format_exc())
            lab.clear()
            # No test is left to say it: then the exit status does.
            self.failed += self._count == end
        while self._count < end:
            self._result(False, "not reached")

    @contextlib.contextmanager
    def test(self, name):
        """The body is the test; a failed assertion, or anything raised, fails it."""
        try:
            yield
        except AssertionError as error:
            self.note(str(error))
            self._result(False, name)
        except Exception:
            self.note(traceback.format_exc())
            self._result(False, name)
        else:
            self._result(True, name)

    def _result(self, good, name):
        self._count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self._count} - {name}", flush=True)

    def note(self, text):
        for line in text.splitlines():
            print(f"# {line}", flush=True)

    def took(self, what):
        now = time.monotonic()
        self.note(f"{what}: {now - self._last:.1f} s")
        self._last = now
