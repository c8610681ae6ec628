# SPDX-License-Identifier: GPL-2.0-only
"""What lies between two QEMUs: it carries, and can be held and cut."""

import selectors
import socket


class Wire:
    """Takes the source's connection and has one of its own to the destination.

    When the source hangs up, the destination does not notice: it goes on
    waiting, and can be told to quit in good order.
    """

    def __init__(self, loop, source, destination, notice):
        """
        source: path of the socket to listen on
        destination: path of the socket to connect to
        notice: called after each piece that went to the destination
        """
        self._loop = loop
        self._notice = notice
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

    def close(self):
        self.hold()
        for sock in self._listener, self._source, self._destination:
            if sock:
                sock.close()

    def _watch(self, sock, feed):
        self._watched.add(sock)
        self._loop.watch_bytes(sock, feed, lambda: self._watched.discard(sock))

    def _to_destination(self, data):
        self._send(self._destination, data)
        self.carried += len(data)
        self._notice()

    def _to_source(self, data):
        self._send(self._source, data)

    def _send(self, sock, data):
        rest = memoryview(data)
        with selectors.DefaultSelector() as room:
            room.register(sock, selectors.EVENT_WRITE)
            while rest:
                room.select()
                rest = rest[sock.send(rest) :]
