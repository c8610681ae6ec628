# SPDX-License-Identifier: GPL-2.0-only
"""Migrations that no guest takes part in: the device dirties its memory, and verifies it."""

from checks import check_bytes, check_goes_on, check_load, check_pages, check_verdict, describe, equal
from usual import BANDWIDTH, MEMORY

RAM_MIB = 64
PATTERNS = "sequential", "permuted", "hot"
SET_MIB = 8
MIBS = 8
PASSES = 3
SPOILED = 17
TESTS = len(PATTERNS) + 1


def guestless(tap, lab):
    guest = lab.boot(lab.mdev(**MEMORY), RAM_MIB, linux=False)
    for seed, pattern in enumerate(PATTERNS):
        guest.load(MIBS, set_mib=SET_MIB, pattern=pattern, seed=seed)
        with tap.test(f"LAB-12 LAB-13 no guest, {pattern} writes: each page is what verify expects"):
            move = lab.move(guest, lab.mdev(**MEMORY), bandwidth=BANDWIDTH, passes=PASSES)
            tap.note(describe(move))
            check_load(move, PASSES)
            check_bytes(move)
            check_pages(guest, move)
            check_goes_on(guest)
    with tap.test("LAB-13 no guest: a page that is spoiled is named"):
        guest.stop()
        check_verdict(guest.verify(), guest.pages)
        name = guest.spoil(SPOILED)
        verdict = guest.verify()
        equal((verdict.bad, verdict.lines), (1, [name]), "bad pages and the first one")
    lab.end(guest)
    tap.took("no guest")
