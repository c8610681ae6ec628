# SPDX-License-Identifier: GPL-2.0-only
"""The usual guest: its memory, its device's, its load, and the pace it is moved at."""

MIB = 1 << 20
RAM_MIB = 128
MEMORY = {"memory_mib": 16, "window_kib": 256}
SNAPSHOT = 12 * MIB  # what it has filled of that, most(); a header more is sent
LOAD = {"working_set": 256, "rate": 2000, "dma": 4}  # pages; stores, transfers a second
FULL_LOAD = {**LOAD, "dma": 10}
FAST = 256 * MIB  # bytes a second: faster than it goes
BANDWIDTH = {0: FAST, 2: 2 * MIB}  # the passes after the snapshot slow


def most(of):
    """What a guest fills: the rest must arrive as it was, unwritten."""
    return of * 3 // 4
