"""Names with numbers: the first that is free for a photo and its companions, or the one that has the photo
already. No number is tried twice, and no file of the destination is read twice."""

from __future__ import annotations

from collections.abc import Sequence

from sortograph.images.names import folded
from sortograph.records.sorting import SortFile
from sortograph.sorting.names import LONGEST_NAME, size_of, spellings, units
from sortograph.sorting.places import Taken

NUMBER = 8  # room for a number after a name that is taken


class Numbers:
    """Gives names below the destination, one unit after the other: a photo, and then its companions."""

    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self._next: dict[tuple[str, ...], int] = {}  # folder, stem and all ends of names → what to try next
        self._tried: dict[tuple[str, ...], _Tried] = {}  # folder, stem and end of the photo's name

    def place(
        self, folder: str, stem: str, tails: Sequence[str], unit: Sequence[SortFile]
    ) -> tuple[list[str], str]:
        """Paths for all of them, taken from now on, and ""; or, where the photo's content is there already,
        the paths that go with it, and the one that has it."""
        ends = [folded(tail) for tail in tails]
        key = (folder, folded(stem), *ends)
        tried = self._tried.setdefault(key[:3], _Tried(self._taken))
        while (found := tried.having(unit[0])) is None:
            number = self._next.get(key, 1)
            self._next[key] = number + 1
            paths = _paths(folder, stem, tails, number)
            if free := all(map(self._taken.free, paths)):
                for path, file in zip(paths, unit, strict=True):
                    self._taken.take(path, file)
            tried.add(number, paths[0])
            if free:
                return paths, ""
        number, there = found
        return _paths(folder, stem, tails, number), there


class _Tried:
    """What is there under the numbers of one name, as far as they were tried."""

    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self._sizes: dict[int, list[tuple[int, str]]] = {}  # those that nobody had to read yet
        self._contents: dict[str, tuple[int, str]] = {}

    def add(self, number: int, path: str) -> None:
        for found in self._taken.alike(path):
            self._sizes.setdefault(self._taken.size(found), []).append((number, found))

    def having(self, photo: SortFile) -> tuple[int, str] | None:
        """The number and the path of the same content."""
        for number, path in self._sizes.pop(photo.size, ()):
            self._contents.setdefault(self._taken.content(path), (number, path))
        return self._contents.get(photo.sha256)


def _paths(folder: str, stem: str, tails: Sequence[str], number: int) -> list[str]:
    size = LONGEST_NAME - max(map(size_of, tails))
    spelled = next(spellings(stem, units(stem) + NUMBER, size, number))
    return [f"{folder}/{spelled}{tail}" if folder else f"{spelled}{tail}" for tail in tails]
