# SPDX-License-Identifier: GPL-2.0-only
"""What lies between two QEMUs: it carries, and can be held, cut and tampered with."""

import selectors
import socket


class Wire:
    """Takes the source's connection and has one of its own to the destination.

    When the source hangs up, the destination does not notice: it
    waits, and can quit in good order.
    """

    def __init__(self, loop, source, destination, notice=lambda: None, tamper=None):
        """
        source: path of the socket to listen on
        destination: path of the socket to connect to
        notice: called after each piece that went to the destination
        tamper: what is done to the stream on its way
        """
        self._loop = loop
        self._notice = notice
        self._tamper = tamper
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(source)
        self._listener.listen()
        self._listener.settimeout(60)
        self._source = None
        self._watched = set()
        self._destination = socket.socket(socket.AF_UNIX)
        self._destination.connect(destination)
        self.carried = 0

    def accept(self):
        """Take the connection that the source has begun."""
        self._source = self._listener.accept()[0]
        self._watch(self._source, self._to_destination)
        self._watch(self._destination, self._to_source)

    def hold(self):
        """Carry no more: soon the source has to wait."""
        for sock in list(self._watched):
            self._loop.ignore(sock)
        self._watched.clear()

    def cut(self):
        """Hang up on the source, not on the destination."""
        self.hold()
        self._source.close()

    def deliver(self, data):
        """Give that to the destination, which may have exited."""
        if data:
            self._send(self._destination, data)

    def hang_up(self):
        """The network fails: neither hears of the other any more."""
        self.hold()
        self._source.close()
        self._destination.close()

    def close(self):
        self.hold()
        for sock in self._listener, self._source, self._destination:
            if sock:
                sock.close()

    def _watch(self, sock, feed):
        self._watched.add(sock)
        self._loop.watch_bytes(sock, feed, lambda: self._ended(sock))

    def _ended(self, sock):
        """One of them hung up. The destination does not notice: see above."""
        self._watched.discard(sock)
        if sock is self._destination:
            self.hold()
            self._source.close()

    def _to_destination(self, data):
        if self._tamper:
            data = self._tamper.apply(data)
        self._send(self._destination, data)
        self.carried += len(data)
        if self._tamper and self._tamper.cuts and self._tamper.done:
            self.hang_up()
        self._notice()

    def _hung_up(self, sock):
        self.hold()
        (self._source if sock is self._destination else self._destination).close()

    def _to_source(self, data):
        self._send(self._source, data)

    def _send(self, sock, data):
        rest = memoryview(data)
        with selectors.DefaultSelector() as room:
            room.register(sock, selectors.EVENT_WRITE)
            while rest:
                room.select()
                try:
                    rest = rest[sock.send(rest) :]
                except (BrokenPipeError, ConnectionResetError):
                    # The side that hung up has no use for it, and the other will notice.
                    return self._hung_up(sock)
