# SPDX-License-Identifier: GPL-2.0-only
"""Streams, as Documentation/stream.rst has them: made, and judged without the tool.

A reader of its own, so that what the tool reports can be compared with something. And
files as QEMU writes them, as hw/vfio/migration.c has it.
"""

import errno
import pathlib
import struct

BEGIN, MEMORY, REGISTERS, CONFIG, INTERRUPTS, DMA, END, WORKLOAD = range(1, 9)
NAMES = [None, "SESSION_BEGIN", "MEMORY", "REGISTERS", "CONFIG_SPACE", "INTERRUPTS", "DMA", "END",
         "WORKLOAD"]
SECTIONS = {REGISTERS: (72, 1), CONFIG: (4096, 1), INTERRUPTS: (264, 1), DMA: (64, 2),
            WORKLOAD: (48, 3)}
LENGTHS = {BEGIN: (48, 48), MEMORY: (8 + 4096, 8 + 65536), END: (16, 16)}
LENGTHS |= {kind: (length, length) for kind, (length, _) in SECTIONS.items()}
HEAD = 24
OPTIONAL = 1
SEED = 0xFFFFFFFF
NEWEST = 3
MAGIC = b"TERNSTRM"

# As each version has written it.
GOLDEN = {name: (pathlib.Path(__file__).parent / f"../golden/{name}.stream").read_bytes()
          for name in ("first", "second", "third")}
THIRD = GOLDEN["third"]


def crc_table():
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


TABLE = list(crc_table())


def crc32c(crc, data):
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc


def u32(data, at=0):
    return int.from_bytes(data[at:at + 4], "little")


def u64(data, at=0):
    return int.from_bytes(data[at:at + 8], "little")


class Record:
    def __init__(self, data, at):
        self.at = at
        self.head = data[at:at + HEAD]
        self.kind, self.flags, self.seq, self.length, self.crc = struct.unpack("<IIQII", self.head)
        self.payload = data[at + HEAD:at + HEAD + self.length]
        self.end = at + HEAD + self.length


def records(data):
    """All records of a stream that is good."""
    found, at = [], 0
    while at < len(data):
        found.append(Record(data, at))
        at = found[-1].end
    return found


class Writer:
    """A session, record by record, each with its number and its CRC."""

    def __init__(self):
        self.data = b""
        self.seq = 0
        self.seed = SEED

    def add(self, kind, payload, flags=0, seq=None):
        head = struct.pack("<IIQI", kind, flags, self.seq if seq is None else seq, len(payload))
        crc = crc32c(crc32c(self.seed, head), payload)
        if kind == BEGIN:
            self.seed = crc
        self.seq += 1
        self.data += head + struct.pack("<I", crc) + payload
        return self

    def end(self):
        return self.add(END, struct.pack("<QQ", self.seq, len(self.data)))


def rewrite(data, change):
    """The records again, with their numbers and CRCs, after change(kind, payload).

    It returns a list of (kind, payload), (kind, payload, flags). END has the counts.
    """
    writer = Writer()
    for record in records(data):
        for kind, payload, *flags in change(record.kind, record.payload):
            if kind == END:
                writer.end()
            else:
                writer.add(kind, payload, *flags)
    return writer.data


class Fault(Exception):
    def __init__(self, at, name):
        super().__init__(f"{name} at {at}")
        self.at, self.name = at, name


class Reader:
    """What a reader of the newest version says of a stream: nothing, or a Fault."""

    def __init__(self):
        self.seed = self.id = self.size = None
        self.seq = self.bytes = self.version = 0
        self.have = set()
        self.complete = False

    def read(self, data):
        at = 0
        while at < len(data):
            if len(data) - at < HEAD:
                raise Fault(at, "EIO")
            record = Record(data, at)
            self.check(at, self.form(record))
            if len(record.payload) < record.length:
                raise Fault(at, "EIO")
            self.check(at, self.whole(record))
            at = record.end
        if not self.complete:
            raise Fault(at, "EIO")

    @staticmethod
    def check(at, name):
        if name:
            raise Fault(at, name)

    def form(self, r):
        if self.seed is None and r.kind != BEGIN:
            return "EINVAL"
        if r.flags & ~OPTIONAL:
            return "EOPNOTSUPP"
        if r.kind not in LENGTHS:
            if not r.flags & OPTIONAL:
                return "EOPNOTSUPP"
            return "EMSGSIZE" if r.length > 8 + 65536 else None
        least, most = LENGTHS[r.kind]
        return None if least <= r.length <= most else "EMSGSIZE"

    def whole(self, r):
        if r.kind == BEGIN:
            return self.begin(r)
        if crc32c(crc32c(self.seed, r.head[:20]), r.payload) != r.crc:
            return "EBADMSG"
        if r.seq > self.seq:
            return "EILSEQ"
        if r.seq < self.seq:
            return None
        self.seq += 1
        if self.complete:
            return "EPROTO"
        fault = {MEMORY: self.memory, END: self.last}.get(r.kind, self.section)(r)
        self.bytes += HEAD + r.length
        return fault

    def begin(self, r):
        if crc32c(crc32c(SEED, r.head[:20]), r.payload) != r.crc:
            return "EBADMSG"
        if r.seq:
            return "EILSEQ"
        if self.id == r.payload[32:48]:
            return None
        self.id, self.seed, self.seq = r.payload[32:48], r.crc, 1
        self.version, reader, model, block = struct.unpack_from("<IIII", r.payload, 8)
        if r.payload[:8] != MAGIC or not self.version:
            return "EINVAL"
        if model != 1:
            return "EMEDIUMTYPE"
        if reader > NEWEST:
            return "EPROTONOSUPPORT"
        size = u64(r.payload, 24)
        if block != 4096 or size % 4096 or self.size not in (None, size):
            return "ERANGE"
        self.size = size
        self.have, self.complete, self.bytes = set(), False, HEAD + r.length
        return None

    def memory(self, r):
        offset, length = u64(r.payload), r.length - 8
        good = offset % 4096 == 0 and length % 4096 == 0 and offset + length <= self.size
        return None if good else "EOVERFLOW"

    def section(self, r):
        if r.kind not in SECTIONS:
            return None
        if SECTIONS[r.kind][1] > self.version or r.kind in self.have:
            return "EPROTO"
        if r.kind == WORKLOAD and not self.workload(r.payload):
            return "EDOM"
        self.have.add(r.kind)
        return None

    def workload(self, p):
        mibs, pattern, pages, _, _, rest, _, zero = struct.unpack("<IIQQQQII", p)
        most = self.size // 4096
        return (mibs <= 1 << 20 and pattern < 3 and 256 <= pages <= most and
                pages & pages - 1 == 0 and rest <= most - pages and not zero)

    def last(self, r):
        wanted = {kind for kind, (_, since) in SECTIONS.items()
                  if since <= self.version and kind != WORKLOAD}
        if (u64(r.payload), u64(r.payload, 8)) != (r.seq, self.bytes) or wanted - self.have:
            return "EPROTO"
        self.complete = True
        return None


def fault_of(data):
    """(offset, errno's name), or None."""
    try:
        Reader().read(data)
    except Fault as fault:
        assert hasattr(errno, fault.name)
        return fault.at, fault.name
    return None


# --- files of QEMU ---

END_OF_STATE, CONFIG_STATE, SETUP_STATE, DATA_STATE, INITIAL_SENT = (
    (0xFFFFFFFFEF100000 + tag).to_bytes(8, "big") for tag in range(1, 6))
START, PART, LAST, FULL, FOOTER = 1, 2, 3, 4, 0x7E


class Qemu:
    """A file, section by section; pieces: where in it the device's bytes are."""

    def __init__(self, prefix=b""):
        self.data = prefix + b"QEVM" + (3).to_bytes(4, "big")
        self.places = {}

    def section(self, kind, number, contents, name=None):
        self.data += bytes([kind]) + number.to_bytes(4, "big")
        if name is not None:
            self.data += bytes([len(name)]) + name.encode(errors="surrogateescape") + bytes(7) + b"\x01"
        self.data += contents
        self.data += bytes([FOOTER]) + number.to_bytes(4, "big")
        return self

    def ram(self, data=b""):
        """Guest memory, with bytes in it that look like the device's."""
        traps = DATA_STATE + bytes(8) + SETUP_STATE + b"\x02" + bytes(4) + DATA_STATE
        return self.section(PART, 2, bytes(4096) + traps + bytes(100) + data)

    def setup(self, number, name):
        return self.section(START, number, SETUP_STATE + END_OF_STATE, name)

    def device(self, number, chunks, kind=PART, tail=END_OF_STATE):
        """Chunks of the device in one section, as it is written in pre-copy or at the end."""
        contents = b""
        begin = len(self.data) + 5
        for chunk in chunks:
            contents += DATA_STATE + len(chunk).to_bytes(8, "big")
            self.places.setdefault(number, []).extend(
                begin + len(contents) + i for i in range(len(chunk)))
            contents += chunk
        return self.section(kind, number, contents + tail)

    def config(self, number, name):
        """Config space, which has no length."""
        return self.section(FULL, number, CONFIG_STATE + bytes(range(256)) + END_OF_STATE, name)


def chunked(data, size):
    return [data[at:at + size] for at in range(0, len(data), size)]
