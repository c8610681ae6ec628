# SPDX-License-Identifier: GPL-2.0-only
"""One guest, back and forth, many times."""

from checks import check_bytes, check_goes_on, check_load, check_pages, describe
from usual import BANDWIDTH, LOAD, MEMORY, RAM_MIB, most

TESTS = 1

# So many passes are forced, in turn; with none QEMU leaves when it likes.
PASSES = 2, 0, 3, 1


def to_and_fro(tap, lab, rounds):
    guest = lab.boot(lab.mdev(**MEMORY), RAM_MIB)
    guest.fill(most(guest.pages))
    guest.load(**LOAD)
    tap.took("a guest with 16 MiB boots")
    with tap.test(f"{rounds} migrations back and forth: no page is lost, and no QEMU prints anything"):
        for n in range(1, rounds + 1):
            passes = PASSES[n % len(PASSES)]
            move = lab.move(guest, lab.mdev(**MEMORY), bandwidth=BANDWIDTH, passes=passes)
            tap.note(f"{n}: {passes} or more: {describe(move)}")
            if passes:
                check_load(move, passes)
            check_bytes(move)
            # The source has quit with status 0, and had nothing to say: Qemu.quit().
            check_pages(guest, move)
            check_goes_on(guest)
        lab.end(guest)
    tap.took(f"{rounds} migrations")
