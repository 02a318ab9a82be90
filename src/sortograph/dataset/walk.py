"""What lies in a folder or an archive: photo files, sub-folders, and what is left out.

Links lead nowhere unless the caller asks to follow them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sortograph.errors import DataError
from sortograph.images.archive import is_archive, members_of
from sortograph.images.members import has_photo_suffix
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
    links    linked folders that are not followed, and folders that lead back to one above them
    """

    files: tuple[File, ...] = ()
    folders: tuple[str, ...] = ()
    ignored: int = 0
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder or an archive of photos, and whether links in it are followed."""

    root: Path
    follow_links: bool = False

    def look(self, folder: str = "") -> Level:
        return look(self.root, folder, follow_links=self.follow_links)

    def below(self, folder: str) -> Level:
        return below(self.root, folder, follow_links=self.follow_links)


def look(root: Path, folder: str = "", *, follow_links: bool = False) -> Level:
    """One folder, without what is below it, in natural order. `root` may be an archive.

    follow_links  whether linked folders count as folders, and links to files may lead out of the root

    Raises DataError when the root itself cannot be opened.
    """
    if is_archive(root):
        return _look_inside(root, folder)
    try:
        with os.scandir(root / folder) as entries:
            ordered = sorted(entries, key=lambda entry: natural_key(entry.name))
        # Only links can lead back, so that nothing above matters where none is followed.
        above = _real_paths(root, folder) if follow_links else frozenset()
        return _sort_out(ordered, root, f"{folder}/" if folder else "", above)
    except OSError as error:
        reason = f"the folder cannot be opened ({error.strerror})"
        if folder:
            return Level(files=(File(folder, reason),))
        raise DataError(reason, where=str(root), fix="check its permissions") from None


def below(root: Path, folder: str, *, follow_links: bool = False) -> Level:
    """Everything in a folder and its sub-folders, flattened. Followed links enter a folder only once."""
    files: list[File] = []
    links: list[str] = []
    ignored = 0
    entered: set[str] = set()
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        if follow_links:
            real = os.path.realpath(root / path)
            if real in entered:
                links.append(path)
                continue
            entered.add(real)
        level = look(root, path, follow_links=follow_links)
        files += level.files
        links += level.links
        ignored += level.ignored
        waiting += level.folders
    return Level(files=tuple(files), ignored=ignored, links=tuple(links))


def _real_paths(root: Path, folder: str) -> frozenset[str]:
    """Where the root, a folder in it and all folders between them really are."""
    path = root / folder
    return frozenset(os.path.realpath(step) for step in (path, *path.parents) if step.is_relative_to(root))


def _sort_out(entries: Iterable[os.DirEntry[str]], root: Path, prefix: str, above: frozenset[str]) -> Level:
    """The level of a folder; `above` has the folders that may not be entered again, none of them where
    links are not followed."""
    files: list[File] = []
    folders: list[str] = []
    links: list[str] = []
    ignored = 0
    for entry in entries:
        path = prefix + entry.name
        if is_system(entry.name):
            ignored += 1
        elif is_folder_link(entry):
            (folders if above and os.path.realpath(entry.path) not in above else links).append(path)
        elif entry.is_dir(follow_symlinks=False):
            (links if above and os.path.realpath(entry.path) in above else folders).append(path)
        elif not has_photo_suffix(entry.name):
            ignored += 1
        else:
            problem = link_problem(root, Path(entry.path), bool(above)) if entry.is_symlink() else ""
            files.append(File(path, problem))
    return Level(tuple(files), tuple(folders), ignored, tuple(links))


def link_problem(root: Path, path: Path, follow_links: bool = False) -> str:
    """Why a path that goes through links is not opened, or "".

    Links out of the root are a problem unless they are followed; links to nothing always are.
    """
    try:
        target = path.resolve(strict=True)
    except FileNotFoundError:
        return "a link to nothing" if path.is_symlink() else "no such file"
    except (OSError, RuntimeError, ValueError):
        return "a path that cannot be followed"
    return "" if follow_links or target.is_relative_to(os.path.realpath(root)) else "a link out of the folder"


def _look_inside(root: Path, folder: str) -> Level:
    members = members_of(root)
    inside = members.folders.get(folder)
    if inside is None:
        return Level(files=(File(folder, "no such folder in the archive"),))
    problems = members.problems
    return Level(
        files=tuple(File(path, problems.get(path, "")) for path in sorted(inside.files, key=natural_key)),
        folders=tuple(sorted(inside.folders, key=natural_key)),
        ignored=inside.ignored,
    )
