"""The photos in a folder, in the order in which a person would count them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from sortograph.errors import DataError
from sortograph.images.decode import SUFFIXES
from sortograph.images.names import is_system, natural_key

_JUNCTION = 0xA0000003  # IO_REPARSE_TAG_MOUNT_POINT: a folder link of Windows, which is_symlink overlooks


def photos_below(folder: Path, left_out: Callable[[int], None] = lambda _count: None) -> Iterator[Path]:
    """Files with a photo suffix in a folder and all folders below it, in natural order.

    Left out: hidden and system files, files with other suffixes, linked folders (which may loop);
    `left_out` is told how many of them each folder has, hidden folders as one.
    A sub-folder that cannot be opened is given in the place of its photos, so that whoever reads it
    finds out. Raises DataError when `folder` itself cannot be opened.
    """
    try:
        waiting = _inside(folder, left_out)
    except OSError as error:
        reason = f"the folder cannot be opened ({error.strerror or error})"
        raise DataError(reason, where=str(folder), fix="check its permissions") from None
    while waiting:
        path, is_folder = waiting.pop()
        if not is_folder:
            yield path
            continue
        try:
            waiting += _inside(path, left_out)
        except OSError:
            yield path


def is_folder_link(entry: os.DirEntry[str]) -> bool:
    """Whether the entry is a link to a folder, or a junction of Windows: both may loop or lead outside."""
    if entry.is_symlink():
        # Unlike entry.is_dir(), this takes a link to itself for no folder instead of raising.
        return os.path.isdir(entry.path)  # noqa: PTH112
    if not entry.is_dir():
        return False
    return getattr(entry.stat(follow_symlinks=False), "st_reparse_tag", 0) == _JUNCTION


def _inside(folder: Path, left_out: Callable[[int], None]) -> list[tuple[Path, bool]]:
    """Photos and sub-folders with whether they are folders, the first one last, as a stack has them."""
    with os.scandir(folder) as entries:
        everything = list(entries)
    kept = [entry for entry in everything if not is_system(entry.name) and not is_folder_link(entry)]
    found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in kept]
    wanted = [(name, is_folder) for name, is_folder in found if is_folder or _is_photo(name)]
    left_out(len(everything) - len(wanted))
    wanted.sort(key=lambda pair: natural_key(pair[0]), reverse=True)
    return [(folder / name, is_folder) for name, is_folder in wanted]


def _is_photo(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122
