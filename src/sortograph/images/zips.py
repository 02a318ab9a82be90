"""Zip files: their directory, read without an object for each member, and the bytes of one member.

The layout is that of PKWARE's APPNOTE 6.3.10, sections 4.3 and 4.5. The standard library's reader is not used
because it holds half a kilobyte for each member.
"""

from __future__ import annotations

import io
import stat
import struct
import zlib
from array import array
from collections.abc import Iterator
from functools import lru_cache
from typing import BinaryIO, NamedTuple

import numpy as np

from sortograph.errors import PhotoError, counted
from sortograph.images.members import Members, check_count, damaged, size_problem

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_STORED, _DEFLATED = 0, 8
_UTF8, _ENCRYPTED, _PATCHED = 0x800, 0x2041, 0x20
_UNIX = (3, 19)
_FULL = 0xFFFFFFFF
_CHUNK = 1 << 18
_DENSEST = 1040  # deflate packs at most 1,032 bytes into one


class Record(NamedTuple):
    """One member as the directory has it; `offset` is that of its own header in the file."""

    name: bytes
    extra: bytes
    made_by: int
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    mode: int
    offset: int


class _Directory(NamedTuple):
    """Where the directory is; `shift` is the length of what was put before the archive."""

    start: int
    length: int
    declared: int
    shift: int


def read_members(file: BinaryIO, where: str) -> Members:
    """The members of a zip file; `places` are where their records lie in the directory.

    Raises DataError where the directory is damaged.
    """
    try:
        return _collect(file, _find_directory(file, where), where)
    except (struct.error, OverflowError):
        raise damaged("the directory of the zip file is damaged", where) from None


def _collect(file: BinaryIO, directory: _Directory, where: str) -> Members:
    members = Members(shift=directory.shift)
    places, starts, ends = array("Q"), array("Q"), array("Q")
    for place, record in _records(file, directory, where):
        name = decode_name(record)
        end = record.offset + _LOCAL.size + len(record.name) + record.packed
        if name.endswith("/") or _kind(record) == stat.S_IFDIR:
            members.add_folder(name)
        else:
            members.add(name, place, _problem(record, end > directory.start))
        for column, value in ((places, place), (starts, record.offset), (ends, end)):
            column.append(value)
    _part_overlaps(members, places, starts, ends)
    return members


def _find_directory(file: BinaryIO, where: str) -> _Directory:
    length = file.seek(0, io.SEEK_END)
    start = file.seek(max(0, length - _END.size - 0xFFFF))
    tail = file.read()
    at = tail.rfind(b"PK\5\6", 0, max(0, len(tail) - _END.size + 4))
    if at < 0:
        raise damaged("not a zip file, or cut off: its directory, which ends it, is missing", where)
    _, disk, first, _, count, size, offset, _ = _END.unpack_from(tail, at)
    end = start + at
    if wide := _wide_end(file, end):
        end, disk, first, count, size, offset = wide
    if disk or first:
        raise damaged("one part of a zip file in several", where, fix="join the parts, or unpack them")
    check_count(count, where)
    shift = end - size - offset
    if shift < 0:
        raise damaged("the directory of the zip file is damaged, or its middle is missing", where)
    return _Directory(end - size, size, count, shift)


def _wide_end(file: BinaryIO, end: int) -> tuple[int, int, int, int, int, int] | None:
    """Where the directory of a zip file of many members or bytes (zip64) ends, and its numbers."""
    if end < _LOCATOR.size + _END64.size:
        return None
    at = file.seek(end - _LOCATOR.size - _END64.size)
    mark, _, _, _, disk, first, _, count, size, offset = _END64.unpack(file.read(_END64.size))
    if mark != b"PK\6\6" or file.read(4) != b"PK\6\7":
        return None
    return at, disk, first, count, size, offset


def _records(file: BinaryIO, directory: _Directory, where: str) -> Iterator[tuple[int, Record]]:
    place = directory.start
    end = place + directory.length
    count = 0
    while place < end:
        record, length = _record(file, place, directory.shift)
        yield place, record
        place += length
        count += 1
        check_count(count, where)
    # Without zip64 the number is kept in 16 bits, and some writers let it run over.
    if place != end or (count - directory.declared) % 0x10000:
        raise damaged(f"the directory of the zip file names {directory.declared} members, has {count}", where)


def _record(file: BinaryIO, place: int, shift: int) -> tuple[Record, int]:
    """One record of the directory, and its length. Raises struct.error where there is none."""
    if file.tell() != place:
        file.seek(place)
    fixed = _CENTRAL.unpack(file.read(_CENTRAL.size))
    if fixed[0] != b"PK\1\2":
        raise struct.error
    _, made_by, _, flags, method, _, _, crc, packed, size, n, m, k, _, _, mode, offset = fixed
    text = file.read(n + m + k)
    extra = text[n : n + m]
    if _FULL in (size, packed, offset):
        size, packed, offset = _wide(extra, size, packed, offset)
    record = Record(
        text[:n], extra, made_by >> 8, flags, method, crc, packed, size, mode >> 16, offset + shift
    )
    return record, _CENTRAL.size + n + m + k


def _wide(extra: bytes, *values: int) -> list[int]:
    """The numbers that did not fit into 32 bits, in the order in which the zip64 field has them."""
    field = _field(extra, 1)
    wide = iter(struct.unpack(f"<{len(field) // 8}Q", field[: len(field) // 8 * 8]))
    return [next(wide, value) if value == _FULL else value for value in values]


def _field(extra: bytes, wanted: int) -> bytes:
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == wanted:
            return extra[4 : 4 + length]
        extra = extra[4 + length :]
    return b""


def decode_name(record: Record) -> str:
    """The name of a member: UTF-8 where it says so, or in the field that Info-ZIP adds; else guessed.

    Zip files without either mean code page 437, but Windows writes the code page of its country. So each
    part of a name that is not ASCII is read as UTF-8, else as cp949 (Korean Windows), else as cp437: the
    first of them that fits. Backslashes separate folders.
    """
    raw = record.name
    if record.flags & _UTF8:
        return raw.decode("utf-8", "surrogateescape").replace("\\", "/")
    if raw.isascii():
        return raw.decode("ascii").replace("\\", "/")
    added = _field(record.extra, 0x7075)
    if added[:1] == b"\1" and added[1:5] == zlib.crc32(raw).to_bytes(4, "little"):
        return added[5:].decode("utf-8", "surrogateescape").replace("\\", "/")
    return "/".join(map(_guessed, raw.replace(b"\\", b"/").split(b"/")))


@lru_cache(maxsize=1024)
def _guessed(part: bytes) -> str:
    for encoding in ("utf-8", "cp949"):
        try:
            return part.decode(encoding)
        except UnicodeDecodeError:
            continue
    return part.decode("cp437")


def _kind(record: Record) -> int:
    return stat.S_IFMT(record.mode) if record.made_by in _UNIX else 0


def _problem(record: Record, outside: bool) -> str:
    if record.flags & _ENCRYPTED:
        return "encrypted"
    if _kind(record) == stat.S_IFLNK:
        return "a symbolic link, which is not followed in archives"
    if _kind(record) not in (0, stat.S_IFREG):
        return "not a regular file (a pipe, socket or device)"
    if record.method not in (_STORED, _DEFLATED) or record.flags & _PATCHED:
        return f"compressed by method {record.method} (only stored and deflated members are read)"
    if problem := size_problem(record.size):
        return problem
    if record.size > (record.packed * _DENSEST if record.method else record.packed):
        unpack = "unpacks" if record.packed == 1 else "unpack"
        return f"says that {counted(record.packed, 'byte')} {unpack} to {record.size}"
    return "lies outside of the archive" if outside else ""


def _part_overlaps(members: Members, places: array[int], starts: array[int], ends: array[int]) -> None:
    """Members that share bytes are how a small zip file unpacks to a huge one: none of them is read."""
    first, last = np.array(starts, dtype=np.uint64), np.array(ends, dtype=np.uint64)
    order = np.argsort(first, kind="stable")
    reached = np.maximum.accumulate(last[order])
    clash = np.zeros(len(order), dtype=bool)
    clash[1:] = first[order][1:] < reached[:-1]
    clash[:-1] |= last[order][:-1] > first[order][1:]
    if not clash.any():
        return
    shared = set(np.array(places, dtype=np.uint64)[order[clash]].tolist())
    for path in [path for path, place in members.places.items() if place in shared]:
        del members.places[path]
        members.problems[path] = "shares bytes with another member"


def read_at(file: BinaryIO, place: int, shift: int) -> bytes:
    """The bytes of the member whose record lies at `place`; `shift` is that of its Members.

    Raises PhotoError for damaged members.

    Never holds more than the member declares, which is below the limit, and a chunk.
    """
    try:
        record, _ = _record(file, place, shift)
        file.seek(record.offset)
        mark, _, _, _, _, _, _, _, _, n, m = _LOCAL.unpack(file.read(_LOCAL.size))
        if mark != b"PK\3\4" or file.read(n) != record.name:
            raise PhotoError("damaged in the archive (its header is not that of the directory)")
        file.seek(m, io.SEEK_CUR)
        data = _inflated(file, record) if record.method else file.read(record.size)
    except (struct.error, zlib.error) as error:
        raise PhotoError(f"damaged in the archive ({error or 'its header'})") from None
    if len(data) != record.size:
        raise PhotoError("damaged in the archive (cut off)")
    if zlib.crc32(data) != record.crc:
        raise PhotoError("damaged in the archive (its checksum differs)")
    return data


def _inflated(file: BinaryIO, record: Record) -> bytes:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    unpacked = io.BytesIO()
    left = record.packed
    while left and not unpacker.eof:
        chunk = file.read(min(_CHUNK, left))
        if not chunk:
            break
        left -= len(chunk)
        unpacked.write(unpacker.decompress(chunk, record.size + 1 - unpacked.tell()))
        if unpacked.tell() > record.size:
            raise PhotoError(f"damaged in the archive (unpacks to more than the {record.size} bytes it says)")
    return unpacked.getvalue()
