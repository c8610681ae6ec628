# SPDX-License-Identifier: GPL-2.0-only
"""The device's part of what a QEMU sends: to be found on its way, cut, or changed.

QEMU wraps each chunk in a tag and a length, with guest memory before and after it.
A place in the device's part is counted in its own bytes, as if there was nothing
else; tern's records lie there one behind the other.
"""

import bisect
import math

TAG = 0xFFFFFFFFEF100004.to_bytes(8, "big")
FRAME = len(TAG) + 8
HEAD = 24  # a record's header; its payload's length stands at 16
SEED = ~0 & 0xFFFFFFFF


def crc32c(crc, data):
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc


class Sniffer:
    """Follows a stream, piece by piece."""

    def __init__(self):
        self.at = 0  # bytes of the device's so far
        self.boundaries = []  # where its records begin
        self._tail = b""
        self._left = 0  # of the chunk
        self._head = b""
        self._record = 0  # where the record in hand ends, once that is known

    def parts(self, piece):
        """Where the device's bytes lie in a piece: (from, to), and at is that of from."""
        i = 0
        while i < len(piece):
            if not self._left:
                text = self._tail + piece[i:]
                found = text.find(TAG)
                if found < 0 or len(text) < found + FRAME:
                    self._tail = text[found:] if found >= 0 else text[1 - FRAME :]
                    return
                i += found + FRAME - len(self._tail)
                self._left = int.from_bytes(text[found + len(TAG) : found + FRAME], "big")
                self._tail = b""
                continue
            n = min(self._left, len(piece) - i)
            self._follow(piece[i : i + n])
            yield i, i + n
            self.at += n
            self._left -= n
            i += n

    def _follow(self, data):
        """Find the records that begin in these bytes."""
        start, end = self.at, self.at + len(data)
        while self._record < end:
            if not self._head:
                self.boundaries.append(self._record)
            have = self._record + len(self._head) - start
            self._head += data[have : have + HEAD - len(self._head)]
            if len(self._head) < HEAD:
                return
            self._record += HEAD + int.from_bytes(self._head[16:20], "little")
            self._head = b""


DMA = 6  # its record: command, status, ..., length at 24, done at 32
END = 7
UNKNOWN = 99
OPTIONAL = 1  # a flag: a reader that does not know the type skips the record
BUSY = 1


class Saved:
    """A QEMU's stream in a file."""

    def __init__(self, path):
        self._bytes = path.read_bytes()
        self._chunks = []  # the device's: where each begins in its stream, and in the file
        sniffer = Sniffer()
        for start, _ in sniffer.parts(self._bytes):
            self._chunks.append((sniffer.at, start))
        self._boundaries = sniffer.boundaries

    def records(self):
        return len(self._boundaries)

    def _place(self, at):
        """Where that byte of the device's is in the file."""
        begins, place = self._chunks[bisect.bisect_right(self._chunks, (at, math.inf)) - 1]
        return place + at - begins

    def _get(self, at, length):
        return bytes(self._bytes[self._place(at + i)] for i in range(length))

    def _last(self, kind):
        for at in reversed(self._boundaries):
            if int.from_bytes(self._get(at, 4), "little") == kind:
                return at
        raise AssertionError(f"no record of type {kind} in the stream")

    def transfer_in_flight(self):
        """How much is done of a transfer, and of how much; None if there is none."""
        state = self._get(self._last(DMA) + HEAD, 64)
        if int.from_bytes(state[4:8], "little") != BUSY:
            return None
        return tuple(int.from_bytes(state[k : k + 8], "little") for k in (32, 24))

    def without_end(self, path):
        """Write one that is right in every record, and has no END."""
        at = self._last(END)
        length = int.from_bytes(self._get(at + 16, 4), "little")
        head = UNKNOWN.to_bytes(4, "little") + OPTIONAL.to_bytes(4, "little") + self._get(at + 8, 12)
        seed = int.from_bytes(self._get(20, 4), "little")  # SESSION_BEGIN's
        crc = crc32c(crc32c(seed, head), self._get(at + HEAD, length))
        changed = bytearray(self._bytes)
        for i, byte in enumerate(head + crc.to_bytes(4, "little")):
            changed[self._place(at + i)] = byte
        path.write_bytes(changed)


class Tamper:
    """Something that is done to a stream. apply() gives what must be sent."""

    done = False
    cuts = False
    kept = b""  # not to be sent before the source has come to its end

    def __init__(self):
        self.sniffer = Sniffer()

    def apply(self, piece):
        piece = bytearray(piece)
        for start, end in self.sniffer.parts(bytes(piece)):
            if not self.done:
                cut = self.change(piece, start, end)
                if cut is not None:
                    self.done = True
                    return bytes(piece[:cut])
        return bytes(piece)

    def change(self, piece, start, end):
        """Look at the device's bytes piece[start:end]; give where to cut, or None."""
        raise NotImplementedError


class CutAtByte(Tamper):
    cuts = True

    def __init__(self, at):
        super().__init__()
        self.place = at

    def __str__(self):
        return f"cut at byte {self.place}"

    def change(self, piece, start, end):
        if self.place >= self.sniffer.at + end - start:
            return None
        return start + self.place - self.sniffer.at


class CutAtRecord(Tamper):
    cuts = True

    def __init__(self, number):
        super().__init__()
        self.number = number

    def __str__(self):
        return f"cut before record {self.number}"

    def change(self, piece, start, end):
        if len(self.sniffer.boundaries) <= self.number:
            return None
        return start + self.sniffer.boundaries[self.number] - self.sniffer.at


class Flip(Tamper):
    def __init__(self, at, bit):
        super().__init__()
        self.place = at
        self.bit = bit

    def __str__(self):
        return f"bit {self.bit} of byte {self.place} flipped"

    def change(self, piece, start, end):
        k = start + self.place - self.sniffer.at
        if start <= k < end:
            piece[k] ^= 1 << self.bit
            self.done = True


class FlipEnd(Tamper):
    """A bit of END: all that came before it was right. The source is done by then."""

    def __str__(self):
        return "a bit of END flipped"

    def apply(self, piece):
        if not self.done:
            piece = super().apply(piece)
            if not self.done:
                return piece
        self.kept += piece
        return b""

    def change(self, piece, start, end):
        for boundary in reversed(self.sniffer.boundaries):
            k = start + boundary - self.sniffer.at
            if k < start:
                break
            if piece[k] == END:
                piece[k] ^= 1 << 7
                self.done = True


class Begin(Tamper):
    """Another SESSION_BEGIN: a field of 4 bytes has another value, and the CRC fits."""

    def __init__(self, name, field, value):
        super().__init__()
        self.name = name
        self.field = field
        self.value = value

    def __str__(self):
        return self.name

    def change(self, piece, start, end):
        if self.sniffer.at:
            return
        assert end - start >= HEAD + 48, "SESSION_BEGIN in pieces"
        record = piece[start : start + HEAD + 48]
        record[HEAD + self.field : HEAD + self.field + 4] = self.value.to_bytes(4, "little")
        crc = crc32c(crc32c(SEED, record[:20]), record[HEAD:])
        record[20:24] = crc.to_bytes(4, "little")
        piece[start : start + HEAD + 48] = record
        self.done = True
