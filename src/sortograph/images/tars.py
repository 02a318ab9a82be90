"""Tar files that are not compressed: their members by offset, and the bytes of one member."""

from __future__ import annotations

import tarfile
from typing import Any, BinaryIO, cast

from sortograph.errors import DataError, PhotoError
from sortograph.images.decode import MAX_BYTES
from sortograph.images.members import Members, check_count, damaged, size_problem, tidied

# A place is the offset of the bytes and their number: one int takes less memory than a pair of them.
_SIZE_BITS = MAX_BYTES.bit_length()
_LONGEST_HEADER = 1 << 20


class _Headers:
    """A file as tarfile sees it, which reads headers alone: one of a gigabyte would fill the memory."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self._file = file.seek, file.tell, file

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)


def read_members(file: BinaryIO, where: str) -> Members:
    """The members of a tar file. Names in GNU and PAX headers may be long and are UTF-8.

    Raises DataError where it is damaged anywhere: what follows cannot be found then.
    """
    members = Members()
    try:
        headers = cast(BinaryIO, _Headers(file))
        with tarfile.TarFile(fileobj=headers, encoding="utf-8", errors="surrogateescape") as archive:
            _collect(archive, members, where)
            end = archive.offset
    except DataError:
        raise
    except Exception as error:  # tarfile raises a dozen kinds on damaged headers
        reason = str(error) or type(error).__name__
        raise damaged(f"not a tar file, or a damaged one ({reason[:120]})", where) from None
    file.seek(end)
    block = file.read(tarfile.BLOCKSIZE)
    if block != bytes(tarfile.BLOCKSIZE):
        what = "has a damaged header" if len(block) == tarfile.BLOCKSIZE else "is cut off"
        raise damaged(f"the tar file {what} at byte {end}", where)
    return members


def _collect(archive: tarfile.TarFile, members: Members, where: str) -> None:
    count = 0
    before = -1
    while (member := archive.next()) is not None:
        if member.offset <= before or member.size < 0:
            raise tarfile.ReadError("a header that leads backwards")
        before = member.offset
        check_count(count := count + 1, where)
        _add(members, member)
        # tarfile keeps every member, a kilobyte each, for uses that are not ours.
        cast(Any, archive).members.clear()


def _add(members: Members, member: tarfile.TarInfo) -> None:
    if member.isdir():
        members.add_folder(member.name)
    elif member.islnk():
        place = members.places.get(tidied(member.linkname))
        members.add(member.name, place or 0, "" if place else "a hard link to a member that is not read")
    else:
        problem = _problem(member)
        members.add(member.name, 0 if problem else member.offset_data << _SIZE_BITS | member.size, problem)


def _problem(member: tarfile.TarInfo) -> str:
    if member.issym():
        return "a symbolic link, which is not followed in archives"
    if not member.isreg():
        return "not a regular file (a pipe, socket or device)"
    if member.issparse():
        return "a sparse member; unpack the archive to read it"
    return size_problem(member.size)


def read_at(file: BinaryIO, place: int, shift: int) -> bytes:
    """The bytes of the member at a place, `shift` bytes on. Raises PhotoError where the file is cut off."""
    offset, size = place >> _SIZE_BITS, place & ((1 << _SIZE_BITS) - 1)
    file.seek(offset + shift)
    data = file.read(size)
    if len(data) != size:
        raise PhotoError("damaged in the archive (cut off)")
    return data
