"""Source and destination: apart from each other, fit for what is wanted, and what the destination holds."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from sortograph.errors import DataError, PhotoError, StorageError, UsageError, counted
from sortograph.files import is_in
from sortograph.images.names import folded
from sortograph.moving.transfer import fingerprint, is_link
from sortograph.records.sorting import SortFile

HOME = ".sortograph"  # below the destination, for the journals; hidden, so that no scan looks into it
_Names = dict[str, dict[str, bool]]  # folded name → the names that are like it → whether each is a folder
_SPARE = 1 << 20  # bytes that stay free, for the journal and folders


def check_ends(source: Path, destination: Path) -> tuple[Path, Path]:
    """Both absolute and without links. Raises DataError for a source that is no folder, UsageError when one
    lies in the other, StorageError when the destination is a file or cannot be written."""
    if not os.path.isdir(source):  # noqa: PTH112, Path.is_dir raises for names that are too long
        what = "not a folder" if os.path.lexists(source) else "no such folder"
        raise DataError(what, where=str(source), expected="a folder of photos")
    if is_in(destination, source) or is_in(source, destination):
        raise UsageError(
            "the photos and the destination lie in each other",
            where=str(destination),
            expected="a destination outside of the photos' folder, and not around it",
            fix="choose another folder with --into",
        )
    if os.path.lexists(destination) and not os.path.isdir(destination):  # noqa: PTH112
        raise StorageError("not a folder", where=str(destination), fix="choose another folder with --into")
    home = destination.resolve()
    if not home.parent.is_dir():
        raise StorageError(
            "no such folder", where=str(home.parent), fix="make it, or choose another with --into"
        )
    _check_writable(home if home.is_dir() else home.parent)
    return source.resolve(), home


def check_room(source: Path, destination: Path, way: str, files: Iterable[SortFile]) -> None:
    """Before the first act: may the files be taken away, can they be linked, and is there room for copies.

    Raises StorageError, UsageError.
    """
    wanted = list(files)
    if way == "move":
        _check_removable(source, wanted)
    disk = _standing(destination).stat().st_dev
    far = [file for file in wanted if _disk(source / file.path, disk) != disk]
    if way == "hardlink" and far:
        raise UsageError(
            "hard links cannot lead to another disk",
            where=str(destination),
            expected="a destination on the disk of the photos",
            fix="--copy or --symlink",
        )
    _check_free(destination, wanted if way == "copy" else far if way == "move" else [])


def _check_free(destination: Path, copied: list[SortFile]) -> None:
    needed = sum(file.size for file in copied)
    free = shutil.disk_usage(_standing(destination)).free
    if copied and needed + _SPARE > free:
        raise StorageError(
            f"{needed / 1e6:.0f} MB to copy ({counted(len(copied), 'file')}), and {free / 1e6:.0f} MB free",
            where=str(destination),
            expected="room for all of them",
            fix="free some space, or choose another folder with --into",
        )


def _check_removable(source: Path, files: Iterable[SortFile]) -> None:
    for folder in dict.fromkeys((source / file.path).parent for file in files):
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
            raise StorageError(
                "photos cannot be moved out of a read-only folder",
                where=str(folder),
                expected="a folder that may be written",
                fix="--copy leaves the photos where they are",
            )


def _check_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(
            "a folder that may not be written", where=str(folder), fix="choose another folder with --into"
        )


def _disk(file: Path, otherwise: int) -> int:
    try:
        return file.lstat().st_dev
    except OSError:  # it is gone, which is told when its turn comes
        return otherwise


def _standing(place: Path) -> Path:
    """The place, or the nearest folder above it that exists."""
    return next(folder for folder in (place, *place.parents) if os.path.lexists(folder))


class Taken:
    """Which paths below the destination are taken, by what is there or by what the plan puts there.

    Paths that differ only by case or by how Unicode composes them are the same, as they are to macOS and
    Windows; folders get the spelling of the one that is there.
    """

    def __init__(self, destination: Path) -> None:
        self._root = destination
        self._listed: dict[str, _Names] = {}
        self._contents: dict[str, str] = {}  # path → sha256, of what is planned and of what was read
        self._sizes: dict[str, int] = {}
        self.blocked: dict[str, None] = {}

    def folder(self, path: str) -> str:
        """The folders of a path as they are spelled there. What cannot be gone into is kept in `blocked`."""
        real = ""
        for part in path.split("/") if path else ():
            alike = self._inside(real).setdefault(folded(part), {part: True})
            name = part if part in alike else next(iter(alike))
            real = f"{real}/{name}" if real else name
            if not alike[name]:
                self.blocked[real] = None
        return real

    def free(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        return folded(name) not in self._inside(folder)

    def alike(self, path: str) -> list[str]:
        """Files that are there, or are going to be, by a name that is the same to some system."""
        folder, _, name = path.rpartition("/")
        prefix = f"{folder}/" if folder else ""
        found = self._inside(folder).get(folded(name), {})
        return [prefix + each for each, is_folder in found.items() if not is_folder]

    def identical(self, path: str, file: SortFile) -> str:
        """The path by which a file's content is there, or is going to be; "" where something else is, or
        nothing."""
        for found in self.alike(path):
            if self.size(found) == file.size and self.content(found) == file.sha256:
                return found
        return ""

    def size(self, path: str) -> int:
        """-1 for what is no file, or gone."""
        if path not in self._sizes:
            self._sizes[path] = _size(self._root / path)
        return self._sizes[path]

    def content(self, path: str) -> str:
        """The sha256, read once; "" where it cannot be read."""
        if path not in self._contents:
            try:
                self._contents[path] = fingerprint(self._root / path)[0]
            except PhotoError:
                self._contents[path] = ""
        return self._contents[path]

    def take(self, path: str, file: SortFile) -> None:
        folder, _, name = path.rpartition("/")
        self._inside(folder)[folded(name)] = {name: False}
        self._contents[path], self._sizes[path] = file.sha256, file.size

    def _inside(self, folder: str) -> _Names:
        if folder not in self._listed:
            self._listed[folder] = _names(self._root / folder)
        return self._listed[folder]


def _names(folder: Path) -> _Names:
    found: _Names = {}
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found.setdefault(folded(entry.name), {})[entry.name] = _is_folder(entry)
    return found


def _size(file: Path) -> int:
    try:
        facts = file.lstat()
    except OSError:
        return -1
    return facts.st_size if stat.S_ISREG(facts.st_mode) else -1


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False) and not is_link(entry.stat(follow_symlinks=False))
