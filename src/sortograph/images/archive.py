"""Photos inside a .zip or .tar file, read in place: nothing is ever unpacked onto a disk."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO

from sortograph.errors import DataError, PhotoError

if TYPE_CHECKING:
    from sortograph.images.members import Members

_READERS = {".zip": "zips", ".tar": "tars"}
_TAR, _SEVEN = 'tar -xf "{}"', '7z x "{}"'
# What is compressed as a whole cannot be read from the middle.
_PACKED = {
    ".tar.gz": _TAR, ".tgz": _TAR, ".tar.bz2": _TAR, ".tbz2": _TAR, ".tar.xz": _TAR, ".txz": _TAR,
    ".tar.zst": _TAR, ".7z": _SEVEN, ".rar": _SEVEN,
}  # fmt: skip
_MARKS = {
    b"\x1f\x8b": _TAR, b"BZh": _TAR, b"\xfd7zXZ": _TAR, b"\x28\xb5\x2f\xfd": _TAR,
    b"7z\xbc\xaf\x27\x1c": _SEVEN, b"Rar!": _SEVEN,
}  # fmt: skip
_ENDS = (*_READERS, *_PACKED)
_KEPT = 2

_Key = tuple[int, int, int, int]
_lock = threading.Lock()
_opened: OrderedDict[str, tuple[_Key, Members]] = OrderedDict()


def is_archive(path: Path) -> bool:
    """Whether a path is a file that is named like an archive, also of a kind that is refused when opened.

    >>> is_archive(Path("photos"))
    False
    """
    # Unlike Path.is_file, this takes names that the system refuses for no file instead of raising.
    return path.name.lower().endswith(_ENDS) and os.path.isfile(path)  # noqa: PTH113


def place_of(path: Path) -> tuple[Path, str] | None:
    """The archive and the member, posix, that a path like photos.zip/cats/1.jpg names; None for others.

    >>> place_of(Path("photos/cats/1.jpg"))
    """
    whole = os.fspath(path).lower()
    if not any(end in whole for end in _ENDS):  # most are found out without a look at every parent
        return None
    for parent in path.parents:
        if is_archive(parent):
            return parent, path.relative_to(parent).as_posix()
    return None


def members_of(root: Path) -> Members:
    """The members of an archive; kept until the file changes, for the last archives asked for.

    Raises DataError for archives that cannot be opened: damaged, in several parts, compressed as a whole.
    """
    try:
        with root.open("rb") as file:
            return _members(file, root)
    except OSError as error:
        reason = f"the archive cannot be opened ({error.strerror or error})"
        raise DataError(reason, where=str(root), fix="check that it is there, and its permissions") from None


def read_member(root: Path, path: str) -> bytes:
    """All bytes of one member, by its path in the archive. Safe to call from several threads.

    Raises PhotoError where the member, or by now the archive, cannot be read.
    """
    try:
        # Every read has a file of its own: no position is shared, and none is left open.
        with root.open("rb") as file:
            members = _members(file, root)
            if problem := members.problems.get(path):
                raise PhotoError(problem)
            if path not in members.places:
                raise PhotoError("no such member in the archive")
            read: Callable[[BinaryIO, int, int], bytes] = _reader(root).read_at
            return read(file, members.places[path], members.shift)
    except PhotoError:
        raise
    except DataError as error:
        raise PhotoError(f"the archive cannot be read ({error.what})") from None
    except OSError as error:
        raise PhotoError(f"the archive cannot be read ({error.strerror or error})") from None


def _members(file: BinaryIO, root: Path) -> Members:
    status = os.fstat(file.fileno())
    key = (status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev)
    with _lock:
        kept = _opened.pop(str(root), None)
        members = kept[1] if kept and kept[0] == key else _listed(file, root)
        _opened[str(root)] = key, members
        while len(_opened) > _KEPT:
            _opened.popitem(last=False)
        return members


def _listed(file: BinaryIO, root: Path) -> Members:
    _refuse_packed(file, root)
    file.seek(0)
    list_members: Callable[[BinaryIO, str], Members] = _reader(root).read_members
    return list_members(file, str(root))


def _reader(root: Path) -> ModuleType:
    return import_module(f"sortograph.images.{_READERS[root.suffix.lower()]}")


def _refuse_packed(file: BinaryIO, root: Path) -> None:
    name = root.name.lower()
    head = file.read(8)
    command = next((command for end, command in _PACKED.items() if name.endswith(end)), "")
    command = command or next((command for mark, command in _MARKS.items() if head.startswith(mark)), "")
    if command:
        raise DataError(
            "an archive that is compressed as a whole, in which single photos cannot be read",
            where=str(root),
            expected="a folder, a .zip file, or a .tar file that is not compressed",
            fix=f"{command.format(root)}, and give the folder that it makes",
        )
