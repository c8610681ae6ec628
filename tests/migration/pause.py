# SPDX-License-Identifier: GPL-2.0-only
"""A QEMU 7.2 that pauses between the stop of one device and the stop of the next."""

import contextlib
import os
import pathlib
import re
import signal

STAT = re.compile(r"\d+ \((.*)\) (\S) ")


def stat(path):
    """The name and the state of a thread."""
    return STAT.match(path.read_text()).groups()


def dma_is_idle():
    """Whether no Tern device of this machine is transferring."""
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has exited
            if stat(path)[0] == "tern-dma" and stat(path)[1] != "I":
                return False
    return True


class Pause:
    def __init__(self, library):
        self.wrapper = ["env", f"LD_PRELOAD={library}"]

    @staticmethod
    def notice(move):
        """For Move to call: continue once the DMA of the second device has ended."""
        pid = move.source.pid
        if stat(pathlib.Path(f"/proc/{pid}/stat"))[1] == "T" and dma_is_idle():
            os.kill(pid, signal.SIGCONT)
