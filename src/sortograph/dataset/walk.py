"""What lies in a folder: photo files, sub-folders, and what is left out. Links never lead outside."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sortograph.errors import DataError
from sortograph.images.decode import SUFFIXES
from sortograph.images.names import is_system, natural_key
from sortograph.images.walk import is_folder_link


@dataclass(frozen=True, slots=True)
class File:
    """A file with a photo suffix; `problem` says why it is not even opened."""

    path: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Level:
    """Contents of one folder, or of all folders below it. Paths are relative to the root, posix.

    ignored  number of hidden, system and other files without a photo suffix
    links    linked folders, which are not followed
    """

    files: tuple[File, ...] = ()
    folders: tuple[str, ...] = ()
    ignored: int = 0
    links: tuple[str, ...] = ()

    def __add__(self, other: Level) -> Level:
        return Level(
            self.files + other.files,
            self.folders + other.folders,
            self.ignored + other.ignored,
            self.links + other.links,
        )


def look(root: Path, folder: str = "") -> Level:
    """One folder, without what is below it. Raises DataError when the root itself cannot be opened."""
    try:
        with os.scandir(root / folder) as entries:
            found = sorted(entries, key=lambda entry: natural_key(entry.name))
        inside = Path(os.path.realpath(root))
        levels = [
            _sort_out(entry, f"{folder}/{entry.name}" if folder else entry.name, inside) for entry in found
        ]
    except OSError as error:
        reason = f"the folder cannot be opened ({error.strerror})"
        if folder:
            return Level(files=(File(folder, reason),))
        raise DataError(reason, where=str(root), fix="check its permissions") from None
    return Level(
        files=tuple(file for level in levels for file in level.files),
        folders=tuple(name for level in levels for name in level.folders),
        ignored=sum(level.ignored for level in levels),
        links=tuple(link for level in levels for link in level.links),
    )


def below(root: Path, folder: str) -> Level:
    """Everything in a folder and its sub-folders, flattened."""
    files: list[File] = []
    links: list[str] = []
    ignored = 0
    waiting = [folder]
    while waiting:
        level = look(root, waiting.pop())
        files += level.files
        links += level.links
        ignored += level.ignored
        waiting += level.folders
    return Level(files=tuple(files), ignored=ignored, links=tuple(links))


def _sort_out(entry: os.DirEntry[str], path: str, root: Path) -> Level:
    if is_system(entry.name):
        return Level(ignored=1)
    if is_folder_link(entry):
        return Level(links=(path,))
    if entry.is_dir(follow_symlinks=False):
        return Level(folders=(path,))
    if PurePosixPath(entry.name).suffix.lower() not in SUFFIXES:
        return Level(ignored=1)
    if entry.is_symlink():
        return Level(files=(File(path, link_problem(root, Path(entry.path))),))
    return Level(files=(File(path),))


def link_problem(root: Path, path: Path) -> str:
    """Why a path that goes through links is not opened, or "". `root` is free of links."""
    try:
        target = path.resolve(strict=True)
    except FileNotFoundError:
        return "a link to nothing" if path.is_symlink() else "no such file"
    except (OSError, RuntimeError, ValueError):
        return "a path that cannot be followed"
    return "" if target.is_relative_to(root) else "a link out of the folder"
