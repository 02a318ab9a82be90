"""Patterns of names, for shells that do not fill them in: `*`, `?`, `[ab]`, and `**` for folders below."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from sortograph.images.names import is_system, natural_key
from sortograph.images.walk import is_folder_link

_MARKS = frozenset("*?[")


def is_pattern(name: str) -> bool:
    """
    >>> is_pattern("photos/*.jpg"), is_pattern("photos")
    (True, False)
    """
    return not _MARKS.isdisjoint(name)


def matches(pattern: str) -> Iterator[Path]:
    """Files and folders that fit, in natural order, found while they are taken.

    As in a shell, `*` takes no hidden files, nor those that operating systems leave behind; `**` follows no
    links; together with it only files fit. A `**` at the end stands for the folder before it. Folders that
    cannot be opened have no matches.
    """
    parts = Path(pattern).parts
    fixed = next(place for place, part in enumerate(parts) if is_pattern(part))
    # Two `**` in a row are one: they would find everything twice.
    rest = [part for before, part in zip(("", *parts), parts, strict=False) if (before, part) != ("**", "**")]
    found = _below(Path(*parts[:fixed]), tuple(rest[fixed:]))
    if "**" not in rest or rest[-1] == "**":
        return found
    # What lies in a folder that fits is found by itself.
    return (path for path in found if not os.path.isdir(path))  # noqa: PTH112


def _below(folder: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    if not parts or parts == ("**",):
        yield folder
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        yield from _below(folder, rest)
        for name in _folders(folder):
            yield from _below(folder / name, parts)
    elif is_pattern(part):
        for name in _fitting(folder, part):
            yield from _below(folder / name, rest)
    elif os.path.lexists(folder / part):
        yield from _below(folder / part, rest)


def _fitting(folder: Path, part: str) -> list[str]:
    names = [entry.name for entry in _entries(folder)]
    fitting = [
        name for name in names if fnmatch(name, part) and (part.startswith(".") or not is_system(name))
    ]
    return sorted(fitting, key=natural_key)


def _folders(folder: Path) -> list[str]:
    found = [entry for entry in _entries(folder) if not is_system(entry.name) and not is_folder_link(entry)]
    return sorted((entry.name for entry in found if entry.is_dir(follow_symlinks=False)), key=natural_key)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
