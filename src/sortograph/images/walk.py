"""The photos in a folder, in the order in which a person would count them."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from sortograph.errors import DataError
from sortograph.images.decode import SUFFIXES

_DIGITS = re.compile(r"([0-9]+)")
_SYSTEM = frozenset(
    ("thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "system volume information")
)
_JUNCTION = 0xA0000003  # IO_REPARSE_TAG_MOUNT_POINT: a folder link of Windows, which is_symlink overlooks

NaturalKey = tuple[tuple[str | tuple[int, str], ...], str]


def natural_key(name: str) -> NaturalKey:
    """Sort key for one name: 2 comes before 10, upper case beside lower case, NFC and NFD alike.

    >>> sorted(["b10", "B2", "a"], key=natural_key)
    ['a', 'B2', 'b10']
    """
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    parts = _DIGITS.split(plain)
    # Text and numbers alternate, so equal positions hold the same kind. Numbers go by length, then by
    # text: int() refuses more than 4,300 digits.
    return tuple((len(p.lstrip("0")), p.lstrip("0")) if i % 2 else p for i, p in enumerate(parts)), name


def photos_below(folder: Path) -> Iterator[Path]:
    """Files with a photo suffix in a folder and all folders below it, in natural order.

    Left out: hidden and system files, files with other suffixes, linked folders (which may loop).
    A sub-folder that cannot be opened is given in the place of its photos, so that whoever reads it
    finds out. Raises DataError when `folder` itself cannot be opened.
    """
    try:
        waiting = _inside(folder)
    except OSError as error:
        reason = f"the folder cannot be opened ({error.strerror or error})"
        raise DataError(reason, where=str(folder), fix="check its permissions") from None
    while waiting:
        path, is_folder = waiting.pop()
        if not is_folder:
            yield path
            continue
        try:
            waiting += _inside(path)
        except OSError:
            yield path


def _inside(folder: Path) -> list[tuple[Path, bool]]:
    """Photos and sub-folders with whether they are folders, the first one last, as a stack has them."""
    with os.scandir(folder) as entries:
        found = [(entry, _is_folder(entry)) for entry in entries if not _is_system(entry.name)]
    wanted = [(entry, is_folder) for entry, is_folder in found if is_folder or _is_photo(entry)]
    wanted.sort(key=lambda pair: natural_key(pair[0].name), reverse=True)
    return [(folder / entry.name, is_folder) for entry, is_folder in wanted]


def _is_system(name: str) -> bool:
    return name.startswith(".") or name.casefold() in _SYSTEM


def _is_folder(entry: os.DirEntry[str]) -> bool:
    if not entry.is_dir(follow_symlinks=False):
        return False
    status = entry.stat(follow_symlinks=False)
    return stat.S_ISDIR(status.st_mode) and getattr(status, "st_reparse_tag", 0) != _JUNCTION


def _is_photo(entry: os.DirEntry[str]) -> bool:
    return os.path.splitext(entry.name)[1].lower() in SUFFIXES and not entry.is_dir()  # noqa: PTH122
