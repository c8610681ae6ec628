# SPDX-License-Identifier: GPL-2.0-only
"""Two hosts and the network between them: W-13 and W-14 of Documentation/ways.rst."""

import pathlib
import subprocess
import time

from checks import check_bytes, check_goes_on, check_load, check_pages, describe, equal
from host import There
from migration import Migration
from usual import BANDWIDTH, FAST, FULL_LOAD, MEMORY, RAM_MIB, most
from vmm import ON_A_CLOSED_SOCKET

HERE = "10.0.0.1"
PORT = 4000
LOOK_SECONDS = 0.01
STILL_SECONDS = 1
PATIENT_MS = 1
READY_MS = 10000
RETRIES = pathlib.Path("/proc/sys/net/ipv4/tcp_retries2")
GIVEN_UP = r"qemu-system-x86_64: Unable to write to socket: (Connection timed out|No route to host)"
FEW = 3  # that TCP gives up after seconds, not after a quarter of an hour
TESTS = 5


class Network:
    """eth0, and how it is cut: what is sent goes to a card that does not exist."""

    def __init__(self, peer):
        self._peer = peer

    def cut(self):
        self._arp("-s", self._peer, "52:54:00:00:00:ff")

    def mend(self):
        self._arp("-d", self._peer)

    @staticmethod
    def _arp(*arguments):
        subprocess.run(["busybox", "arp", "-i", "eth0", *arguments], check=True)


class Lost:
    """A migration to the other host that the network is not there for."""

    def __init__(self, loop, guest, destination, network, uri):
        self._loop = loop
        self._guest = guest
        self._source = guest.vmm
        self._destination = destination
        self._network = network
        self._uri = uri

    def run(self, stopped):
        """Cut it in a pass, and cancel; or once the guest is stopped, and wait."""
        self._migration = Migration(self._loop, self._source, self._destination)
        self._source.excuse(*ON_A_CLOSED_SOCKET, GIVEN_UP)
        self._migration.limit(FAST, READY_MS if stopped else PATIENT_MS)
        self._migration.listen(self._uri)
        self._migration.begin(self._uri)
        end_of_looks = self._loop.every(LOOK_SECONDS, lambda: None)
        try:
            self._loop.until(lambda: self._reached(stopped), "the point")
            self._network.cut()
            self._end(stopped)
        finally:
            end_of_looks()
            self._network.mend()
        # It may see the end of the stream now, or wait forever.
        self._destination.may_fail()
        self._destination.kill()
        self._loop.until(lambda: self._destination.qmp.closed, "the destination's end")
        assert not self._migration.resumed(), "the destination ran"
        self._destination.mdev.remove()

    def _end(self, stopped):
        mdev = self._source.mdev
        self.sent = sum(mdev.numbers("pass_bytes")), mdev.number("stopped_bytes")
        self.pending = mdev.number("pending_bytes")
        if not stopped:
            self._wait_until_nothing_moves()
            self._migration.cancel()
        else:
            self._loop.until(lambda: self._migration.reported("failed"), "its failure")

    def _reached(self, stopped):
        status, mdev = self._source.qmp.migration_status(), self._source.mdev
        assert status not in ("failed", "completed"), f"{status} before the point"
        state = mdev.read("state")
        if stopped:
            return state == "stopped-saving"
        return state == "running-saving" and mdev.number("passes") >= 2

    def _wait_until_nothing_moves(self):
        """The source's socket is full."""
        last = [None, 0]  # how much was sent, and since when

        def still():
            sent, now = sum(self._source.mdev.numbers("pass_bytes")), time.monotonic()
            if sent != last[0]:
                last[:] = sent, now
            return now - last[1] > STILL_SECONDS

        self._loop.until(still, "nothing being sent")


def to(tap, lab, guest, host, uri):
    move = lab.move(
        guest, lab.mdev(host, **MEMORY), bandwidth=BANDWIDTH, passes=2, uri=uri
    )
    tap.note(describe(move))
    check_load(move, 2)
    check_bytes(move)
    check_pages(guest, move)
    check_goes_on(guest)


def lose(tap, lab, guest, destination, network, uri, stopped):
    lost = Lost(lab.loop, guest, destination, network, uri)
    lost.run(stopped)
    before, after = lost.sent
    tap.note(f"cut when {before} + {after} bytes were given and {lost.pending} pending")
    assert lost.pending or not stopped, "nothing was left to send"
    guest.vmm.until_status("running")
    equal(guest.vmm.mdev.read("state"), "running", "the source's device")
    check_goes_on(guest)


def hosts(tap, lab, args):
    there = There(args.there, PORT)
    there.wait_until_up()
    there.load_module(args.module)
    lab.others.append(there)
    tap.took("the other host is up")
    network = Network(args.there)
    guest = lab.boot(lab.mdev(**MEMORY), RAM_MIB)
    guest.fill(most(guest.pages))
    guest.load(**FULL_LOAD)
    guest.goes_on()
    tap.took("a guest boots here")
    with tap.test("W-13 migration to the other host: no page is lost"):
        to(tap, lab, guest, there, f"tcp:{args.there}:5001")
    tap.took("there")
    with tap.test("W-13 migration back: no page is lost"):
        to(tap, lab, guest, None, f"tcp:{HERE}:5002")
    tap.took("and back")
    with tap.test("W-14 the network fails in a pass, then cancel: the source continues"):
        destination = lab.waiting(guest, lab.mdev(there, **MEMORY))
        uri = f"tcp:{args.there}:5003"
        lose(tap, lab, guest, destination, network, uri, stopped=False)
    tap.took("cut in a pass")
    with tap.test("W-14 the network fails after the stop until TCP times out: the source continues"):
        destination = lab.waiting(guest, lab.mdev(there, **MEMORY))
        uri = f"tcp:{args.there}:5004"
        retries = RETRIES.read_text()
        RETRIES.write_text(str(FEW))
        try:
            lose(tap, lab, guest, destination, network, uri, stopped=True)
        finally:
            RETRIES.write_text(retries)
    tap.took("cut after the stop")
    with tap.test("W-14 the next migration: no page is lost"):
        to(tap, lab, guest, there, f"tcp:{args.there}:5005")
    lab.end(guest)
    tap.took("there again")
