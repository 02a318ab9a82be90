"""Photos that must stay on one side of every cut: the same content, near duplicates, or the same group."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sortograph.images.names import composed
from sortograph.records import DatasetIndex


@dataclass(frozen=True, slots=True)
class Unit:
    """Rows that are placed together, the draw that orders them among units, and photos per class."""

    rows: tuple[int, ...]
    draw: str
    classes: Mapping[int, int]

    def __len__(self) -> int:
        return len(self.rows)


def units(index: DatasetIndex, rows: Iterable[int], seed: int) -> list[Unit]:
    """The rows as units, largest first, then in the order drawn by `seed`.

    A draw is a hash of seed, content and path, so it does not depend on the order of the photos, the
    machine and how it spells names, or the version of any random generator.
    """
    bound = _bind(index, rows)
    every = [
        Unit(
            rows=tuple(members),
            draw=min(_draw(index, row, seed) for row in members),
            classes=Counter(int(index.labels[row]) for row in members),
        )
        for members in bound
    ]
    return sorted(every, key=lambda unit: (-len(unit), unit.draw))


def bonds(index: DatasetIndex, row: int) -> list[tuple[str, str]]:
    """What ties a photo to others: its content, the group that the user gave it, and its near duplicates."""
    twin = index.twins[row] if index.twins else ""
    kinds = (("content", index.sha256[row]), ("group", index.groups[row]), ("twin", twin))
    return [bond for bond in kinds if bond[1]]


def _draw(index: DatasetIndex, row: int, seed: int) -> str:
    text = f"{seed}:{index.sha256[row]}:{composed(index.paths[row])}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _bind(index: DatasetIndex, rows: Iterable[int]) -> list[list[int]]:
    """Rows joined where they share a content, a group name or a twin, also through others (union-find)."""
    parent = {row: row for row in rows}

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = row = parent[parent[row]]
        return row

    first: dict[tuple[str, str], int] = {}
    for row in parent:
        for key in bonds(index, row):
            parent[root(row)] = root(first.setdefault(key, row))
    bound: dict[int, list[int]] = {}
    for row in parent:
        bound.setdefault(root(row), []).append(row)
    return list(bound.values())
