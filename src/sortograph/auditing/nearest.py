"""Nearest neighbours among embeddings: all with all while there are few, else within cells that are near.

Cells are an inverted file as that of Sivic and Zisserman, "Video Google", ICCV 2003, 1470–1477, found by
k-means: each photo is compared with the photos of the cells whose centres are nearest to it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sortograph.records import Progress, Step, silent

Ints = NDArray[np.int64]
Reals = NDArray[np.float32]

FEW = 10_000  # photos that are all compared with each other
_BLOCK = 512  # queries whose products are in memory at once
_PROBES, _ROUNDS, _TAUGHT, _SEED = (
    6,
    4,
    24,
    0,
)  # cells looked into; steps of k-means, on so many photos a cell


def centred(features: Reals) -> Reals:
    """Features (n, D) less their mean, float32, of length 1: what all photos share says nothing of two."""
    moved: Reals = features - features.mean(axis=0, dtype=np.float64).astype(np.float32)
    lengths = np.sqrt(np.einsum("nd,nd->n", moved, moved))
    moved /= np.maximum(lengths, 1e-9)[:, None]
    return moved


def near_rows(units: Reals, count: int, least: float, progress: Progress = silent) -> tuple[Ints, Ints]:
    """Pairs of rows, first < second, in ascending order, int64 (p,) each: every row with its `count` nearest
    of a cosine of at least `least`; rows float32 (n, D) have length 1.

    Exact for up to `FEW` rows; with more, time grows like n^1.5 and a neighbour in a far cell is missed.
    Memory beyond the rows is that of some thousand products for each of 512 rows.
    """
    n = len(units)
    found = [np.zeros((2, 0), dtype=np.int64)]
    done = 0
    for rows, others in _all(n) if n <= FEW else _within_cells(units):
        found.append(_best(units, rows, others, count, least))
        done += len(rows)
        progress(Step("comparing embeddings", done, n))
    first, second = np.concatenate(found, axis=1)
    keys = np.unique(np.minimum(first, second) * n + np.maximum(first, second))
    return keys // n, keys % n


def _best(units: Reals, rows: Ints, others: Ints, count: int, least: float) -> Ints:
    """(2, p): each of `rows` with the best of `others`."""
    parts = []
    for start in range(0, len(rows), _BLOCK):
        asked = rows[start : start + _BLOCK]
        cosines = units[asked] @ units[others].T
        cosines[asked[:, None] == others] = -np.inf
        kept = min(count, len(others))
        places = np.argpartition(-cosines, kept - 1, axis=1)[:, :kept]
        near = np.take_along_axis(cosines, places, axis=1) >= least
        query, place = np.nonzero(near)
        parts.append(np.stack([asked[query], others[places[query, place]]]))
    return np.concatenate(parts, axis=1)


def _all(n: int) -> Iterator[tuple[Ints, Ints]]:
    every = np.arange(n)
    for start in range(0, n, _BLOCK):
        yield every[start : start + _BLOCK], every


def _within_cells(units: Reals) -> Iterator[tuple[Ints, Ints]]:
    """Rows of one cell, and the rows of the cells around it."""
    centres = _centres(units)
    cells = _cells(units, centres)
    order = np.argsort(cells, kind="stable")
    bounds = np.searchsorted(cells[order], np.arange(len(centres) + 1))
    around = np.argsort(-(centres @ centres.T), axis=1, kind="stable")[:, :_PROBES]
    for cell, neighbours in enumerate(around):
        rows = order[bounds[cell] : bounds[cell + 1]]
        if len(rows):
            others = [order[bounds[other] : bounds[other + 1]] for other in {cell, *neighbours.tolist()}]
            yield rows, np.sort(np.concatenate(others))


def _centres(units: Reals) -> Reals:
    """k-means by cosine on some of the rows; as many centres as the root of the number of rows."""
    generator = np.random.default_rng(_SEED)
    count = round(len(units) ** 0.5)
    taught = units[np.sort(generator.choice(len(units), min(len(units), _TAUGHT * count), replace=False))]
    centres = taught[generator.choice(len(taught), count, replace=False)]
    for _ in range(_ROUNDS):
        cells = _cells(taught, centres)
        order = np.argsort(cells, kind="stable")
        held, starts = np.unique(cells[order], return_index=True)
        sums = np.add.reduceat(taught[order], starts, axis=0)
        lengths = np.sqrt(np.square(sums).sum(axis=1, keepdims=True))
        centres[held] = sums / np.maximum(lengths, 1e-9)
    return np.asarray(centres, dtype=np.float32)


def _cells(units: Reals, centres: Reals) -> Ints:
    cells = np.empty(len(units), dtype=np.int64)
    for start in range(0, len(units), _BLOCK):
        cells[start : start + _BLOCK] = (units[start : start + _BLOCK] @ centres.T).argmax(axis=1)
    return cells
