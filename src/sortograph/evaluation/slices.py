"""Accuracy by what photos are like: where a model is weak, it shows here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from sortograph.evaluation.intervals import difference, share_of
from sortograph.records import DatasetIndex, PredictionTable, Slice
from sortograph.records.looks import FORMATS

_LEAST = 10  # photos of a slice, and of what it is compared with: below that nothing is said
_MOST_FOLDERS = 50
# Lower and upper third, by property.
_ENDS = {
    "brightness": ("dark", "bright"),
    "sharpness": ("blurred", "sharp"),
    "size": ("small", "large"),
    "aspect": ("upright", "wide"),
}
Values = NDArray[np.float64]


def slices(
    index: DatasetIndex, table: PredictionTable, groups: NDArray[np.int64] | None = None
) -> tuple[Slice, ...]:
    """Thirds by brightness, sharpness, size and aspect, kinds of file, and folders, with their accuracy.

    table: answers with labels to rows of `index`; groups: int64 (N,) as in `judge`

    A property in which all photos agree gives none, nor do fewer than ten photos. The worst slice comes
    first: the one whose accuracy lies the furthest below that of the other photos, beyond chance.
    """
    if table.labels is None:
        return ()
    right = table.predicted() == table.labels
    found = []
    for prop, name, inside in _parts(index, table.rows):
        if _LEAST <= int(inside.sum()) <= len(right) - _LEAST:
            hits, rest = (share_of(right[some], _part(groups, some)) for some in (inside, ~inside))
            found.append(Slice(prop, name, hits, difference(hits, rest)))
    return tuple(sorted(found, key=lambda one: one.difference.high))


def _parts(index: DatasetIndex, rows: NDArray[np.int64]) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    for prop, values in _measured(index, rows).items():
        yield from _thirds(prop, values)
    if len(index.looks):
        kinds = np.array([FORMATS[k] if k < len(FORMATS) else "other" for k in index.looks["format"][rows]])
        yield from _named("format", kinds)
    folders = np.array([_folder(index, int(row)) for row in rows])
    if 1 < len(np.unique(folders)) <= _MOST_FOLDERS:
        yield from _named("folder", folders)


def _part(groups: NDArray[np.int64] | None, some: NDArray[np.bool_]) -> NDArray[np.int64] | None:
    return None if groups is None else groups[some]


def _measured(index: DatasetIndex, rows: NDArray[np.int64]) -> dict[str, Values]:
    sizes = index.sizes[rows].astype(np.float64)
    found = {"size": np.sqrt(sizes[:, 0] * sizes[:, 1]), "aspect": sizes[:, 0] / np.maximum(1, sizes[:, 1])}
    if len(index.looks):
        looks = index.looks[rows]
        found |= {name: looks[name].astype(np.float64) for name in ("brightness", "sharpness")}
    return found


def _thirds(prop: str, values: Values) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    low, high = np.quantile(values, [1 / 3, 2 / 3]) if len(values) else (0.0, 0.0)
    if low == high:
        return
    first, last = _ENDS[prop]
    yield prop, f"{first} (up to {_figure(low)})", values <= low
    yield prop, f"{last} (above {_figure(high)})", values > high


def _figure(value: float) -> str:
    """
    >>> _figure(1541.7), _figure(1.3333)
    ('1542', '1.33')
    """
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _named(prop: str, names: NDArray[np.str_]) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    for name in np.unique(names).tolist():
        yield prop, name, names == name


def _folder(index: DatasetIndex, row: int) -> str:
    """Where a photo is from: its folder, without the folder of its class."""
    parent = PurePosixPath(index.paths[row]).parent
    label = int(index.labels[row])
    own = label >= 0 and parent.name == index.classes[label]
    return (parent.parent if own else parent).as_posix()
