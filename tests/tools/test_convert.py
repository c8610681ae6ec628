#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""`tern convert`: what it writes for older readers, and what it refuses.

    test_convert.py TERN
"""

import os
import pathlib
import struct
import subprocess
import sys
import tempfile

from stream import (BEGIN, CONFIG, DMA, END, GOLDEN, HEAD, MEMORY, OPTIONAL, REGISTERS, THIRD,
                    WORKLOAD, Qemu, fault_of, records, rewrite)
from tap import Program, equal, run_all

FOLDER = tempfile.TemporaryDirectory()
FILE = pathlib.Path(FOLDER.name) / "file"
OUT = pathlib.Path(FOLDER.name) / "out"
PIN, COMMAND, FLR = 0x3D, 4, 1 << 28


def converted(tern, data, version):
    FILE.write_bytes(data)
    OUT.unlink(missing_ok=True)
    document = tern.json("convert", "--to-version", str(version), str(FILE), str(OUT))
    result = OUT.read_bytes()
    equal(fault_of(result), None, "what was written")
    equal((document["records"], document["bytes"]), (len(records(result)), len(result)))
    return result, document


def refused(tern, data, version, reason):
    FILE.write_bytes(data)
    OUT.unlink(missing_ok=True)
    line = tern.error("convert", "--to-version", str(version), str(FILE), str(OUT))
    assert reason in line, line
    equal([path.name for path in pathlib.Path(FOLDER.name).iterdir()], ["file"], "files")


def device_control(payload):
    """Where the PCI Express capability has its device capabilities."""
    at = payload[0x34]
    while payload[at] != 0x10:
        at = payload[at + 1]
    return at + 4


def unused(data, **changes):
    """The stream of a device that has not used DMA, with other bytes in config space."""
    def change(kind, payload):
        if kind == DMA:
            payload = bytes(48) + struct.pack("<IIII", 0xFFFFFFFF, 0, 0, 0)
        if kind == REGISTERS:
            payload = struct.pack("<II", changes.get("status", 0), 0) + payload[8:]
        if kind == CONFIG and "command" in changes:
            payload = payload[:COMMAND] + struct.pack("<H", changes["command"]) + payload[COMMAND + 2:]
        return [(kind, payload)]
    return rewrite(data, change)


def same_but(tern, old, new, expected):
    """All records are equal, except for bytes that are expected to differ."""
    differ = set()
    for a, b in zip(records(old), records(new), strict=True):
        equal((a.kind, a.seq, a.flags, a.length), (b.kind, b.seq, b.flags, b.length))
        differ |= {(a.kind, at) for at in range(a.length) if a.payload[at] != b.payload[at]}
    equal(differ, expected)


def to_version_2(tern):
    """LAB-19"""
    new, document = converted(tern, THIRD, 2)
    config = [r for r in records(new) if r.kind == CONFIG][0].payload
    assert not int.from_bytes(config[device_control(config):][:4], "little") & FLR
    same_but(tern, THIRD, new, {(BEGIN, 8), (BEGIN, 12), (CONFIG, device_control(config) + 3)})
    equal(records(new)[0].payload[8:16], struct.pack("<II", 2, 2))
    equal((document["flr_left_out"], document["workload_left_out"]), (True, False))


def workload_is_left_out(tern):
    section = struct.pack("<IIQQQQII", 100, 2, 256, 77, 12345, 0, 0xABCDEF, 0)
    data = rewrite(THIRD, lambda kind, payload: [
        *([(WORKLOAD, section, OPTIONAL)] if kind == END else []), (kind, payload)])
    new, document = converted(tern, data, 2)
    equal((new, document["workload_left_out"]), (converted(tern, THIRD, 2)[0], True))
    kept, document = converted(tern, data, 3)
    equal((kept, document["workload_left_out"]), (data, False))


def to_version_1(tern):
    data = unused(THIRD)
    new, document = converted(tern, data, 1)
    equal([r.kind for r in records(new)], [r.kind for r in records(data) if r.kind != DMA])
    config = [r for r in records(new) if r.kind == CONFIG][0].payload
    equal((config[PIN], document["from_version"], document["to_version"]), (0, 3, 1))
    equal(records(new)[0].payload[8:16], struct.pack("<II", 1, 1))


def what_version_1_lacks(tern):
    """LAB-19"""
    refused(tern, THIRD, 1, "DMA")
    refused(tern, GOLDEN["second"], 1, "DMA")
    refused(tern, unused(THIRD, status=1, command=6), 1, "INTx")
    converted(tern, unused(THIRD, status=1, command=0x406), 1)
    converted(tern, unused(THIRD, status=0, command=6), 1)


def to_the_same_version(tern):
    for version, data in enumerate(GOLDEN.values(), 1):
        equal(converted(tern, data, version)[0], data, f"version {version}")


def to_a_newer_version(tern):
    refused(tern, GOLDEN["first"], 2, "a reader of that version loads it as it is")
    refused(tern, GOLDEN["second"], 3, "a reader of that version loads it as it is")
    older = rewrite(THIRD, lambda kind, payload: [
        (kind, payload[:8] + bytes(4) + payload[12:] if kind == BEGIN else payload)])
    refused(tern, older, 2, "EINVAL, SESSION_BEGIN with another magic or version 0")
    newer = rewrite(THIRD, lambda kind, payload: [
        (kind, payload[:8] + struct.pack("<I", 9) + payload[12:] if kind == BEGIN else payload)])
    refused(tern, newer, 2, "newer than this tool")


def damaged_streams(tern):
    refused(tern, THIRD[:-1], 2, "EIO")
    refused(tern, THIRD[:200] + b"\x55" + THIRD[201:], 2, "EBADMSG")


def last_session_without_repeats(tern):
    rows = records(THIRD)
    second = rewrite(THIRD, lambda kind, payload: [
        (kind, payload[:32] + bytes(16) if kind == BEGIN else payload)])
    data = THIRD[:rows[4].at] + second
    equal(converted(tern, data, 2)[0], converted(tern, second, 2)[0], "two sessions")
    again = b"".join(THIRD[r.at:r.end] for r in [*rows[:4], *rows[2:]])
    equal(converted(tern, again, 2)[0], converted(tern, THIRD, 2)[0], "repeats")


def out_of_a_qemu_file(tern):
    data = Qemu().setup(5, "vfio").device(5, [THIRD[:999], THIRD[999:]]).data
    equal(converted(tern, data, 2)[0], converted(tern, THIRD, 2)[0])


def unwritable(tern):
    FILE.write_bytes(THIRD)
    line = tern.error("convert", "--to-version", "2", str(FILE), FOLDER.name + "/none/out")
    assert "No such file" in line, line
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, "out")
        out.mkdir()
        assert "Is a directory" in tern.error("convert", "--to-version", "2", str(FILE), str(out))
        equal(list(pathlib.Path(folder).iterdir()), [out], "files")


def memory_is_kept(tern):
    equal([r.payload for r in records(converted(tern, THIRD, 2)[0]) if r.kind == MEMORY],
          [r.payload for r in records(THIRD) if r.kind == MEMORY])
    assert records(THIRD)[1].end - records(THIRD)[1].at == HEAD + 8 + 4096


def what_is_no_file_is_written_to(tern):
    FILE.write_bytes(THIRD)
    words = "convert", "--to-version", "3", str(FILE)
    pipe, link = OUT.with_name("pipe"), OUT.with_name("link")
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE)
    tern.good(*words, str(pipe))
    equal(reader.communicate(timeout=60)[0], THIRD)
    assert pipe.is_fifo()
    OUT.unlink(missing_ok=True)
    OUT.touch()
    link.symlink_to(OUT)
    tern.good(*words, str(link))
    assert link.is_symlink()
    equal(OUT.read_bytes(), THIRD)
    assert "No space left" in tern.error(*words, "/dev/full")
    done = subprocess.run([tern.path, *words, "-"], capture_output=True, check=True)
    equal(done.stdout, THIRD)
    assert not pathlib.Path("-").exists()
    for path in pipe, link:
        path.unlink()


def only_the_owner_reads_it(tern):
    FILE.write_bytes(THIRD)
    for mask in 0, 0o77:
        before = os.umask(mask)
        OUT.unlink(missing_ok=True)
        tern.good("convert", "--to-version", "3", str(FILE), str(OUT))
        os.umask(before)
        equal(OUT.stat().st_mode & 0o777, 0o600)


def interrupts_are_judged_at_the_end(tern):
    """Whichever section comes first."""
    rows = records(unused(GOLDEN["second"], status=2, command=0))
    kinds = [r.kind for r in rows]
    first, second = sorted((kinds.index(REGISTERS), kinds.index(CONFIG)))
    rows[first], rows[second] = rows[second], rows[first]
    swapped = rewrite(GOLDEN["second"], lambda kind, payload, left=iter(rows): [
        (lambda row: (row.kind, row.payload))(next(left))])
    refused(tern, swapped, 1, "INTx is asserted")


TESTS = [
    to_version_2, workload_is_left_out, to_version_1, what_version_1_lacks, to_the_same_version,
    to_a_newer_version, damaged_streams, last_session_without_repeats, out_of_a_qemu_file,
    unwritable, memory_is_kept, what_is_no_file_is_written_to, only_the_owner_reads_it,
    interrupts_are_judged_at_the_end,
]

if __name__ == "__main__":
    run_all(TESTS, Program(sys.argv[1]))
