#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""`tern decode` against a reader of its own (stream.py), and against texts.

    test_decode.py TERN
"""

import json
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile

import stream
from stream import (BEGIN, CONFIG, DMA, END, GOLDEN, HEAD, INTERRUPTS, MEMORY, NAMES, OPTIONAL,
                    REGISTERS, THIRD, WORKLOAD, Qemu, Writer, chunked, fault_of, records, rewrite)
from tap import Program, equal, run_all

HERE = pathlib.Path(__file__).parent
FOLDER = tempfile.TemporaryDirectory()
FILE = pathlib.Path(FOLDER.name) / "file"
DEVICE = "0000:00:02.0/vfio"


def reported(tern, data, *options):
    """What the tool says of a file: its document, and its line if there is a fault."""
    FILE.write_bytes(data)
    status, out, err = tern.run("decode", "--json", *options, str(FILE))
    document = json.loads(out)
    equal(status, 0 if document["whole"] else 1, "status")
    if document["whole"]:
        equal((document["fault"], err), (None, ""), "a whole stream")
        return document
    match = re.match(r"tern: \S+: offset (\d+)(?: of[^:]*)?: (E[A-Z]+), .+\n$", err)
    assert match and err.count("\n") == 1, err
    equal((int(match[1]), match[2]), (document["fault"]["offset"], document["fault"]["errno"]),
          "the line and the document")
    return document


def fault(tern, data, shown=None):
    """The fault, as (offset, errno), after so many records."""
    document = reported(tern, data)
    if shown is not None:
        equal(len(document["records"]), shown, "records before the fault")
    return document["fault"] and (document["fault"]["offset"], document["fault"]["errno"])


def agree(tern, data, what, shown=None):
    """The tool and stream.py agree."""
    expected = fault_of(data)
    equal(fault(tern, data, shown), expected, what)
    return expected


def golden_as_text(tern):
    for name in GOLDEN:
        text = tern.good("decode", f"tests/golden/{name}.stream")
        equal(text, (HERE / f"{name}.txt").read_text(), name)


def golden_record_by_record(tern):
    """LAB-19"""
    for name, data in GOLDEN.items():
        document = reported(tern, data)
        equal([(r["offset"], r["seq"], r["type"], r["length"], r["crc32c"], r["crc"], r["flags"])
               for r in document["records"]],
              [(r.at, r.seq, NAMES[r.kind], r.length, f"0x{r.crc:08x}", "good", [])
               for r in records(data)], name)
        equal((document["whole"], document["fault"], document["format"]), (True, None, "raw"))
        equal(fault(tern, data), None, name)


def contents(tern, data, kind):
    return [r["contents"] for r in reported(tern, data)["records"] if r["type"] == NAMES[kind]]


def golden_contents(tern):
    for number, (name, data) in enumerate(GOLDEN.items(), 1):
        begin = contents(tern, data, BEGIN)[0]
        equal((begin["version"], begin["reader"], begin["model"], begin["memory_size"]),
              (number, number, "tern-mem", 1 << 20), name)
        equal([(int(m["offset"], 16), m["bytes"]) for m in contents(tern, data, MEMORY)],
              [(4096 * page, 4096) for page in (0, 5, 255, 5)], name)
        registers = contents(tern, data, REGISTERS)[0]
        equal(registers["irq_mask"], "0x8001")
        equal(registers["scratch"], [hex(0x01010101 * i + 0x7E) for i in range(16)])
        config = contents(tern, data, CONFIG)[0]
        equal((config["id"], config["interrupt_line"], config["interrupt_pin"], config["flr"]),
              ("1234:7e10", 11, number > 1, number > 2), name)
        equal(config["command"], ["memory", "bus-master", "intx-disable"])
        if number > 1:
            equal(contents(tern, data, DMA)[0]["pattern"], "0x60d5e11e")
        end = contents(tern, data, END)[0]
        last = records(data)[-1]
        equal((end["records"], end["bytes"]), (last.seq, last.at))


def changed_section(kind, at, form, *values):
    """The newest stream with other values in a section."""
    def change(found, payload):
        if found == kind:
            payload = bytearray(payload)
            struct.pack_into(form, payload, at, *values)
        return [(found, bytes(payload))]
    return rewrite(THIRD, change)


def sections_in_words(tern):
    masked = (0, 0, 0, 1)
    data = changed_section(INTERRUPTS, 0, "<II12I", 0x8004, 0, *masked, *masked,
                           0xFEE01000, 1, 0x4021, 0)
    irqs = contents(tern, data, INTERRUPTS)[0]
    equal(irqs["pending"], [2, 15])
    equal(irqs["table"], [{"vector": 2, "address": "0x1fee01000", "data": "0x4021",
                           "masked": False}])
    data = changed_section(DMA, 0, "<IIQQQQIIIIII", 0x731, 0x401, 0x1234, 4096, 8192, 100,
                           3, 7, 9, 2, 50, 0)
    dma = contents(tern, data, DMA)[0]
    equal((dma["operation"], dma["list"], dma["interrupt"], dma["vector"], dma["state"],
           dma["error"], dma["address"], dma["offset"], dma["length"], dma["done"],
           dma["entries"], dma["entry"], dma["entry_done"]),
          ("to-device", True, True, 7, "busy", "address", "0x1234", "0x1000", 8192, 100, 3, 2, 50))
    data = changed_section(CONFIG, 4, "<H", 2)
    equal(contents(tern, data, CONFIG)[0]["command"], ["memory"])
    for state, name in (0, "D0"), (3, "D3hot"):
        power = 0x40 + 4
        assert THIRD[records(THIRD)[6].at + HEAD + 0x40] == 1, "power management is elsewhere"
        data = changed_section(CONFIG, power, "<H", 8 | state)
        equal(contents(tern, data, CONFIG)[0]["power"], name)


def with_workload(*values, flags=OPTIONAL):
    section = struct.pack("<IIQQQQII", *values)
    return rewrite(THIRD, lambda kind, payload: [
        *([(WORKLOAD, section, flags)] if kind == END else []), (kind, payload)])


def workload_in_words(tern):
    data = with_workload(100, 2, 256, 77, 12345, 0, 0xABCDEF, 0)
    record = [r for r in reported(tern, data)["records"] if r["type"] == "WORKLOAD"][0]
    equal(record["flags"], ["optional"])
    equal(record["contents"], {"mibs": 100, "pattern": "hot", "pages": 256, "seed": 77,
                               "writes": 12345, "rest_pages": 0, "rest_crc": "0x00abcdef"})
    equal(agree(tern, data, "a workload"), None)
    bad = with_workload(100, 3, 256, 77, 12345, 0, 0xABCDEF, 0)
    equal(agree(tern, bad, "pattern 3")[1], "EDOM")


def truncated(tern):
    ends = {r.at for r in records(THIRD)} | {r.at + HEAD for r in records(THIRD)}
    cuts = sorted({at + by for at in ends for by in (-1, 0, 1) if 0 <= at + by < len(THIRD)})
    for cut in cuts:
        before = len([r for r in records(THIRD) if r.end <= cut])
        expected = agree(tern, THIRD[:cut], f"cut at {cut}", before)
        equal(expected[1], "EIO", f"cut at {cut}")


def flipped(data, byte, bit):
    data = bytearray(data)
    data[byte] ^= 1 << bit
    return bytes(data)


def flipped_bits(tern):
    """LAB-19: in each field of a header, in the CRC and in the payload, of each record."""
    seen = set()
    for r in records(THIRD):
        for at in (0, 4, 8, 16, 17, 20, HEAD, HEAD + r.length - 1):
            expected = agree(tern, flipped(THIRD, r.at + at, 3), f"byte {at} of record {r.seq}",
                             r.seq)
            equal(expected[0], r.at, f"byte {at} of record {r.seq}")
            seen.add(expected[1])
    assert {"EINVAL", "EOPNOTSUPP", "EMSGSIZE", "EBADMSG"} <= seen, seen


def behind_the_end(tern):
    for extra in b"x", bytes(23), bytes(24), b"\xff" * 100, THIRD[:10]:
        expected = agree(tern, THIRD + extra, f"{len(extra)} bytes")
        equal(expected[0], len(THIRD), f"{len(extra)} bytes")
    equal(agree(tern, THIRD + THIRD, "the same session again"), None)
    last = records(THIRD)[-1]
    equal(agree(tern, THIRD + THIRD[last.at:], "END twice"), None)
    writer = Writer()
    for r in records(THIRD):
        writer.add(r.kind, r.payload)
    writer.add(REGISTERS, bytes(72))
    equal(agree(tern, writer.data, "a record after END"), (len(THIRD), "EPROTO"))


def verify_alone(tern):
    """Nothing but the first fault."""
    FILE.write_bytes(THIRD)
    equal(tern.good("decode", "--verify", str(FILE)), "")
    at = records(THIRD)[4].at
    FILE.write_bytes(flipped(THIRD, at + HEAD, 0))
    status, out, err = tern.run("decode", "--verify", str(FILE))
    equal((status, out), (1, ""))
    equal(err, f"tern: {FILE}: offset {at}: EBADMSG, a wrong CRC "
               "(record 4, MEMORY, 4104 bytes of payload)\n")
    document = reported(tern, flipped(THIRD, at + HEAD, 0), "--verify")
    equal((document["whole"], document["fault"]["seq"], "records" in document), (False, 4, False))


def wrong_order(tern):
    rows = records(THIRD)
    for i in range(1, len(rows) - 1):
        order = [*rows[:i], rows[i + 1], rows[i], *rows[i + 2:]]
        data = b"".join(THIRD[r.at:r.end] for r in order)
        equal(agree(tern, data, f"{i} and {i + 1}"), (rows[i].at, "EILSEQ"))
    missing = b"".join(THIRD[r.at:r.end] for r in rows if r.seq != 4)
    equal(agree(tern, missing, "without 4"), (rows[4].at, "EILSEQ"))


def repeated_records(tern):
    rows = records(THIRD)
    data = b"".join(THIRD[r.at:r.end] for r in [*rows[:4], *rows[2:]])
    equal(agree(tern, data, "2 and 3 again"), None)
    equal([r["repeat"] for r in reported(tern, data)["records"]],
          4 * [False] + 2 * [True] + 6 * [False])


def a_second_session(tern):
    second = rewrite(THIRD, lambda kind, payload: [
        (kind, payload[:32] + bytes(16) if kind == BEGIN else payload)])
    equal(agree(tern, THIRD[:5000] + second, "in the middle of a record")[1], "EBADMSG")
    begins = records(THIRD)[2].at
    equal(agree(tern, THIRD[:begins] + second, "instead of the first"), None)
    equal(agree(tern, THIRD + second, "after END"), None)
    mixed = THIRD[:72] + second[72:]
    equal(agree(tern, mixed, "of another session"), (72, "EBADMSG"))


def begin_with(at, form, value):
    def change(kind, payload):
        payload = bytearray(payload)
        if kind == BEGIN:
            struct.pack_into(form, payload, at, value)
        return [(kind, bytes(payload))]
    return rewrite(THIRD, change)


def wrong_meaning(tern):
    cases = {
        "EINVAL": begin_with(0, "<Q", 1),
        "EMEDIUMTYPE": begin_with(16, "<I", 0xFF00),
        "EPROTONOSUPPORT": begin_with(12, "<I", 4),
        "ERANGE": begin_with(20, "<I", 65536),
        "EOVERFLOW": rewrite(THIRD, lambda kind, payload: [
            (kind, (1 << 20).to_bytes(8, "little") + payload[8:] if kind == MEMORY else payload)]),
        "EPROTO": rewrite(THIRD, lambda kind, payload: 2 * [(kind, payload)]
                          if kind == DMA else [(kind, payload)]),
    }
    for name, data in cases.items():
        equal(agree(tern, data, name)[1], name)
    without = rewrite(THIRD, lambda kind, payload: [(kind, payload)] if kind != DMA else [])
    equal(agree(tern, without, "no DMA"), (records(without)[-1].at, "EPROTO"))
    equal(agree(tern, begin_with(8, "<I", 0), "version 0"), (0, "EINVAL"))
    equal(agree(tern, begin_with(24, "<Q", (1 << 20) + 1), "a broken size"), (0, "ERANGE"))
    equal(agree(tern, begin_with(8, "<I", 9), "a newer writer"), None)


def random_damage(tern):
    """What no list of cases has. The seed is fixed: a failure comes again."""
    dice = random.Random(7)
    for data in GOLDEN.values():
        for _ in range(16):
            damaged = bytearray(data)
            for _ in range(dice.choice((1, 1, 2, 8))):
                damaged[dice.randrange(len(damaged))] = dice.randrange(256)
            cut = dice.choice((len(damaged), len(damaged), dice.randrange(len(damaged))))
            agree(tern, bytes(damaged[:cut]), "damage")
        for name in GOLDEN:
            at = dice.choice(records(data)).at
            agree(tern, data[:at] + GOLDEN[name], f"{name} from {at} on")


def from_stdin(tern):
    document = tern.good("decode", "-", stdin=THIRD)
    equal(document, (HERE / "third.txt").read_text())
    assert "EIO" in tern.error("decode", "-", stdin=THIRD[:-1])
    assert "EIO" in tern.error("decode", "-", stdin=b"")
    # A file whose begin was read before.
    FILE.write_bytes(bytes(76) + THIRD)
    with FILE.open("rb") as file:
        file.seek(76)
        done = subprocess.run([tern.path, "decode", "-"], stdin=file, capture_output=True,
                              check=False, env=tern.environment("from_stdin"))
    equal(done.stdout.decode(), document)


def like_qemu(chunks, number=37, name=DEVICE):
    """As both protocols are saved: setup, pre-copy, the rest, config space."""
    half = len(chunks) // 2
    file = Qemu().section(stream.START, 2, bytes(64), "ram").setup(number, name).ram()
    for chunk in chunks[:half]:
        file.device(number, [chunk]).ram()
    file.device(number, chunks[half:], kind=stream.LAST).config(number, name)
    file.data += b"\x00" + bytes(50)
    return file


def same_as_raw(tern, file, what, number=37, data=THIRD, options=()):
    document = reported(tern, file.data, *options)
    raw = reported(tern, data)
    equal((document["format"], document["bytes"], document["whole"]),
          ("qemu", len(data), True), what)
    for found, expected in zip(document["records"], raw["records"], strict=True):
        equal(found.pop("file_offset"), file.places[number][found["offset"]], what)
        equal(found, expected, what)
    return document


def qemu_file(tern):
    """LAB-19"""
    for size in 24, 100, 4096, 9000, len(THIRD):
        same_as_raw(tern, like_qemu(chunked(THIRD, size)), f"chunks of {size}")
    file = like_qemu([r.head + r.payload for r in records(THIRD)])
    same_as_raw(tern, file, "whole records")
    FILE.write_bytes(file.data)
    text = tern.good("decode", str(FILE))
    assert f"section {DEVICE} of a QEMU" in text, text[:200]


def qemu_tags(tern):
    """Empty data, the end of the initial data, config space among the data."""
    half = len(THIRD) // 2
    file = Qemu().setup(5, "vfio").device(5, [b""])
    file.device(5, [THIRD[:half]], tail=stream.INITIAL_SENT).device(5, [b"", b""])
    file.device(5, [THIRD[half:]], kind=stream.LAST, tail=stream.END_OF_STATE + stream.CONFIG_STATE +
                bytes(300) + stream.END_OF_STATE)
    same_as_raw(tern, file, "tags", 5)
    file = Qemu().setup(5, "vfio")
    file.device(5, [THIRD], kind=stream.LAST,
                tail=stream.CONFIG_STATE + bytes(300) + stream.END_OF_STATE)
    same_as_raw(tern, file, "QEMU 5.2", 5)


def qemu_file_of_libvirt(tern):
    file = Qemu(b"LibvirtQemudSave" + bytes(76) + b"<domain/>" + bytes(9))
    file.setup(5, DEVICE).device(5, [THIRD], kind=stream.LAST)
    same_as_raw(tern, file, "virsh save", 5)


def qemu_file_of_two(tern):
    file = like_qemu(chunked(THIRD, 5000))
    file.setup(40, "0000:00:03.0/vfio").device(40, [GOLDEN["first"]], kind=stream.LAST)
    FILE.write_bytes(file.data)
    line = tern.error("decode", str(FILE))
    assert DEVICE in line and "0000:00:03.0/vfio" in line and "--section" in line, line
    same_as_raw(tern, file, "chosen", 40, GOLDEN["first"], ("--section", "0000:00:03.0/vfio"))
    same_as_raw(tern, file, "chosen", 37, THIRD, ("--section", DEVICE))
    assert "no section" in tern.error("decode", "--section", "vfio", str(FILE))
    other = like_qemu(chunked(THIRD, 5000))
    other.setup(40, "0000:00:03.0/vfio").device(40, [bytes(5000)], kind=stream.LAST)
    same_as_raw(tern, other, "beside a device that is not Tern's")


def qemu_file_damaged(tern):
    rows = records(THIRD)
    file = like_qemu(chunked(THIRD, 5000))
    place = file.places[37][rows[5].at + HEAD]
    equal(fault(tern, flipped(file.data, place, 1)), (rows[5].at, "EBADMSG"), "a bit")
    found = reported(tern, flipped(file.data, place, 1))["fault"]
    equal(found["file_offset"], file.places[37][rows[5].at], "the place in the file")
    cut = file.places[37][rows[3].at + 100]
    equal(fault(tern, file.data[:cut]), (rows[3].at, "EIO"), "a file that ends early")
    # Also in the last bytes that a file can have of the begin of some data.
    end = file.data.rindex(stream.DATA_STATE)
    whole = file.places[37][-1] + 1
    for more in range(8, 17):
        equal(fault(tern, file.data[:end + more])[1], "EIO", "cut behind a tag")
        assert "framing" not in reported(tern, file.data[:end + more])["fault"]["what"], more
    equal(reported(tern, file.data[:whole])["fault"], None, "cut behind the last byte")
    tag = file.data[:whole] + b"\x12" + file.data[whole + 1:]
    equal(fault(tern, tag), (len(THIRD), "EIO"), "a wrong tag behind a whole stream")
    equal(reported(tern, tag)["whole"], False)
    at = file.data.index(stream.END_OF_STATE, file.places[37][0])
    broken = file.data[:at] + b"\x12" + file.data[at + 1:]
    equal(fault(tern, broken)[1], "EIO", "a tag that is none")
    equal(reported(tern, broken)["fault"]["framing_damaged_at"], at)
    FILE.write_bytes(Qemu().ram().data)
    assert "no VFIO device" in tern.error("decode", str(FILE))


def what_is_no_stream(tern):
    equal(agree(tern, b"#!/bin/sh\n" + bytes(100), "a script"), (0, "EINVAL"))
    equal(agree(tern, b"short", "five bytes"), (0, "EIO"))
    assert "No such file" in tern.error("decode", FOLDER.name + "/none")
    assert "Is a directory" in tern.error("decode", FOLDER.name)
    FILE.write_bytes(THIRD)
    assert "--section" in tern.error("decode", "--section", "vfio", str(FILE))


def usage(tern):
    convert = "convert", "a", "b"
    for words in ((), ("frob",), ("decode",), ("decode", "a", "b"), ("decode", "--frob", "a"),
                  ("--frob",), ("list", "x"), convert, (*convert, "--to-version", "0"),
                  (*convert, "--to-version", "4"), (*convert, "--to-version", "2x"),
                  ("watch", "a", "--interval", "0"), ("watch", "a", "--interval", "nan"),
                  ("watch", "a", "--interval", "1e9"), ("watch", "a", "--interval", ""),
                  ("watch", "a", "--count", "0"), ("watch", "a", "--count", "-1"),
                  ("watch", "a", "--count", "99999999999999999999"), ("set", "a"),
                  ("set", "a", "b"), ("set", "a", "=b"), ("inject", "a", "b"),
                  ("workload", "a", "b"), ("create", "a=b"), ("create", "a", "b")):
        status, out, err = tern.run(*words)
        equal((status, out), (2, ""), words)
        assert "--help" in err, err
    assert re.fullmatch(r"tern \d+\.\d+\n", tern.good("--version"))


def names_from_outside(tern):
    """What is no character is shown by its bytes, and drives no terminal."""
    name = FOLDER.name + "/\x1b[2J\udcff\u00e9"
    shown = FOLDER.name + "/\\x1b[2J\\xff\u00e9"
    with open(name, "wb") as file:
        file.write(THIRD)
    equal(tern.json("decode", name)["file"], shown)
    with open(name, "wb") as file:
        file.write(THIRD[:-1])
    equal(tern.error("decode", name).split(": ")[1], shown)
    section = "\x1b]0;\udcfe/vfio"
    file = Qemu()
    file.section(stream.START, 5, stream.SETUP_STATE + stream.END_OF_STATE, section)
    FILE.write_bytes(file.device(5, [THIRD]).data)
    equal(reported(tern, FILE.read_bytes())["section"], "\\x1b]0;\\xfe/vfio")
    assert "section \\x1b]0;\\xfe/vfio of" in tern.good("decode", str(FILE))


TESTS = [
    golden_as_text, golden_record_by_record, golden_contents, sections_in_words,
    workload_in_words, truncated, flipped_bits, behind_the_end, verify_alone, wrong_order, repeated_records,
    a_second_session, wrong_meaning, random_damage, from_stdin, qemu_file, qemu_tags,
    qemu_file_of_libvirt, qemu_file_of_two, qemu_file_damaged, what_is_no_stream, usage,
    names_from_outside,
]

if __name__ == "__main__":
    run_all(TESTS, Program(sys.argv[1]))
