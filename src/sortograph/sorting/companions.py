"""Files that belong to a photo by their names, and go where it goes.

Cameras write a raw file beside the JPEG; editors keep their settings beside either, after the stem (`a.xmp`,
Adobe) or after the whole name (`a.jpg.xmp`, darktable); iPhones add edits (`a.AAE`) and the film of a Live
Photo.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from sortograph.images.names import natural_key

RAW = frozenset(
    f".{name}"
    for name in (
        "cr2", "cr3", "crw", "nef", "nrw", "arw", "sr2", "srf", "dng", "raf", "orf", "rw2", "rwl", "pef",
        "srw", "3fr", "fff", "iiq", "x3f", "erf", "mrw", "gpr",
    )
)  # fmt: skip
OF_STEM = RAW | {".xmp", ".aae", ".mov"}
_SIDECAR = ".xmp"


def companions(folder: Path, photos: Collection[str]) -> dict[str, list[str]]:
    """Photo → names of its companions, of the photos in one folder that are to be placed.

    Photos that share a stem share its companions, too: they go with the first. Left out are links and
    whatever is no plain file. Raises OSError when the folder cannot be read.
    """
    with os.scandir(folder) as entries:
        others = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    return matched(photos, others)


def matched(photos: Collection[str], others: Iterable[str]) -> dict[str, list[str]]:
    """As `companions`, from names alone.

    >>> matched(["a.jpg", "b.jpg"], ["a.CR2", "a.CR2.xmp", "a.jpg.xmp", "b.txt", "c.xmp"])
    {'a.jpg': ['a.CR2', 'a.CR2.xmp', 'a.jpg.xmp'], 'b.jpg': []}
    """
    found: dict[str, list[str]] = {photo: [] for photo in sorted(photos, key=natural_key)}
    first: dict[str, str] = {}
    for photo in found:
        first.setdefault(_split(photo)[0], photo)
    for name in sorted(others, key=natural_key):
        owner = _owner(name, found, first) if name not in found else None
        if owner is not None:
            found[owner].append(name)
    return found


def tail_of(photo: str, path: str) -> str:
    """What a file's name has after the stem that it shares with its photo.

    >>> tail_of("a/1.jpg", "a/1.jpg"), tail_of("a/1.jpg", "a/1.jpg.xmp")
    ('.jpg', '.jpg.xmp')
    """
    return path[len(os.path.splitext(photo)[0]) :]  # noqa: PTH122, Path.suffix has other rules for dots


def _owner(name: str, photos: Collection[str], first: dict[str, str]) -> str | None:
    stem, suffix = _split(name)
    if suffix == _SIDECAR:
        if stem in photos:
            return stem
        inner, kind = _split(stem)
        if kind in RAW and inner in first:
            return first[inner]
    return first.get(stem) if suffix in OF_STEM else None


def _split(name: str) -> tuple[str, str]:
    stem, suffix = os.path.splitext(name)  # noqa: PTH122, Path.suffix has other rules for dots
    return stem, suffix.lower()
