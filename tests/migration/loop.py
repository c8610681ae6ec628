# SPDX-License-Identifier: GPL-2.0-only
"""One thread that waits for everything: sockets, exits, ticks."""

import os
import selectors
import time

LOOK_SECONDS = 0.01


class Timeout(Exception):
    """A condition did not come true in time."""


class Loop:
    def __init__(self):
        self._selector = selectors.DefaultSelector()
        self._ticks = []

    def watch_bytes(self, sock, feed, closed=lambda: None):
        """Give what arrives on a socket to feed(); at its end call closed()."""
        sock.setblocking(False)

        def readable():
            try:
                data = sock.recv(65536)
            except BlockingIOError:
                return
            except ConnectionResetError:
                data = b""
            if data:
                feed(data)
            else:
                self._selector.unregister(sock)
                sock.close()
                closed()

        self._selector.register(sock, selectors.EVENT_READ, readable)

    def ignore(self, sock):
        """Leave unread what arrives on that socket."""
        self._selector.unregister(sock)

    def watch_exit(self, pid, exited):
        """Call exited() once the process is one that can be waited for."""
        fd = os.pidfd_open(pid)

        def readable():
            self._selector.unregister(fd)
            os.close(fd)
            exited()

        self._selector.register(fd, selectors.EVENT_READ, readable)

    def every(self, seconds, call):
        """Call call() now and then; give a function that ends this."""
        tick = [0.0, seconds, call]
        self._ticks.append(tick)
        return lambda: self._ticks.remove(tick)

    def until(self, condition, what, seconds=300):
        """Wait for condition() to be true and give what it gave.

        The time limit is for what never comes: an emulated machine that shares
        its processor may take a minute for what else takes two seconds.
        """
        deadline = time.monotonic() + seconds
        while not (result := condition()):
            if time.monotonic() > deadline:
                raise Timeout(f"{what}: not after {seconds} s")
            self._turn(deadline)
        return result

    def until_looked(self, condition, what, seconds=300):
        """The same for what nothing signals: it is looked at again and again."""
        end_of_looks = self.every(LOOK_SECONDS, lambda: None)
        try:
            return self.until(condition, what, seconds)
        finally:
            end_of_looks()

    def _turn(self, deadline):
        wake = min([deadline] + [tick[0] for tick in self._ticks])
        for key, _ in self._selector.select(max(0, wake - time.monotonic())):
            # An earlier one may have ended this one.
            if key.fd in self._selector.get_map():
                key.data()
        now = time.monotonic()
        for tick in list(self._ticks):
            if tick[0] <= now:
                tick[2]()
                tick[0] = time.monotonic() + tick[1]
