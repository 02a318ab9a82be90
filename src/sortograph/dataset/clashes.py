"""Class names that a person or a file system would take for one another, refused with the paths of both."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from sortograph.dataset.names import check_class_names
from sortograph.errors import DataError, listed
from sortograph.images.names import composed, folded


def check_folders(root: Path, parents: list[tuple[str, ...]]) -> None:
    """Class names must be text, and distinct among neighbours even where a file system merges spellings."""
    twins = [
        " and ".join(map(ascii, paths))
        for folders in parents
        for paths in _shared((composed(PurePosixPath(folder).name), folder) for folder in folders)
    ]
    if twins:
        raise DataError(
            f"class folders that differ only in how Unicode spells them (NFC, NFD): {listed(twins)}",
            where=str(root),
            expected="one folder for each class",
            fix="merge these folders",
        )
    check_names(
        [(composed(PurePosixPath(folder).name), folder) for folders in parents for folder in folders], root
    )


def check_names(places: list[tuple[str, str]], root: Path) -> None:
    """Raises DataError for class names, each with a path that has it, that are no text or differ only by
    case; unlike `check_class_names` alone, it tells the paths."""
    first = dict(reversed(places))
    clashes = [
        " and ".join(map(repr, sorted(paths)))
        for paths in _shared((folded(name), path) for name, path in first.items())
    ]
    if clashes:
        raise DataError(
            f"class names that differ only by case: {listed(sorted(clashes))}",
            where=str(root),
            expected="class names that differ by more than upper and lower case",
            fix="rename or merge these classes",
        )
    check_class_names(list(first), str(root))


def _shared(places: Iterable[tuple[str, str]]) -> list[list[str]]:
    """The paths of each name that several have, from (name, path)."""
    groups: dict[str, list[str]] = {}
    for name, path in places:
        groups.setdefault(name, []).append(path)
    return [paths for paths in groups.values() if len(paths) > 1]
