"""Which photos a report shows, and what is written below each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sortograph.records import DatasetIndex, PredictionTable
from sortograph.reporting.sheet import Tile, draw_sheet

Pixels = Callable[[NDArray[np.int64]], NDArray[np.uint8]]

_SAMPLES = 25
_PREDICTIONS = 100
_MISTAKES = 20
_HITS = 10


def sample_sheet(index: DatasetIndex, pixels: Pixels, seed: int) -> bytes:
    """Up to 25 labelled photos, 5 × 5, spread evenly over the classes (over 25 of them, if more).

    `pixels` maps rows of the index, int64 (N,), to uint8 (N, H, W, 3). The choice depends on `seed`
    alone. b"" without labelled photos.
    """
    rows = _spread(index.labels, _generator(seed))
    names = [index.classes[k] for k in index.labels[rows]]
    tiles = [Tile(photo, name) for photo, name in zip(_photos(pixels, rows), names, strict=True)]
    return draw_sheet(tiles, columns=5, tile=160)


def prediction_sheet(
    index: DatasetIndex, table: PredictionTable, pixels: Pixels, seed: int, *, temperature: float = 1.0
) -> bytes:
    """100 random predictions (or all, if fewer): right ones yellow with ✓, wrong ones red with ✗.

    Below each photo stand the predicted class with its probability and, when wrong, the truth.
    """
    count = min(_PREDICTIONS, len(table.rows))
    chosen = np.sort(_generator(seed).choice(len(table.rows), size=count, replace=False))
    return draw_sheet(judged(index, table, pixels, chosen, temperature), columns=min(10, count), tile=90)


def mistake_sheet(
    index: DatasetIndex, table: PredictionTable, pixels: Pixels, *, temperature: float = 1.0
) -> bytes:
    """The up to 20 wrong predictions with the highest probability, highest first; b"" without any."""
    chosen = mistakes(index, table, temperature)[:_MISTAKES]
    return draw_sheet(judged(index, table, pixels, chosen, temperature), columns=5, tile=180)


def hit_sheet(
    index: DatasetIndex, table: PredictionTable, pixels: Pixels, *, temperature: float = 1.0
) -> bytes:
    """The up to 10 right predictions with the lowest probability, lowest first; b"" without any."""
    chosen = hits(index, table, temperature)[:_HITS]
    return draw_sheet(judged(index, table, pixels, chosen, temperature), columns=5, tile=150)


def augmented_sheet(views: NDArray[np.uint8]) -> bytes:
    """Nine views of photos as training sees them, uint8 (9, H, W, 3), as 3 × 3."""
    return draw_sheet([Tile(view, "") for view in views], columns=3, tile=176)


def percent(probability: float) -> str:
    """Whole percent that never claims certainty.

    >>> percent(0.9996), percent(0.871), percent(0.001)
    ('> 99 %', '87 %', '< 1 %')
    """
    if probability > 0.995:
        return "> 99 %"
    return "< 1 %" if probability < 0.005 else f"{100 * probability:.0f} %"


def mistakes(index: DatasetIndex, table: PredictionTable, temperature: float = 1.0) -> NDArray[np.int64]:
    """Places in the table, int64 (M,), of wrong predictions, the most confident first."""
    truth = truth_of(index, table)
    wrong = np.flatnonzero((truth >= 0) & (truth != table.predicted()))
    confidence = table.probabilities(temperature).max(axis=1)[wrong]
    return wrong[np.argsort(-confidence, kind="stable")]


def hits(index: DatasetIndex, table: PredictionTable, temperature: float = 1.0) -> NDArray[np.int64]:
    """Places in the table, int64 (M,), of right predictions, the least confident first."""
    right = np.flatnonzero(truth_of(index, table) == table.predicted())
    confidence = table.probabilities(temperature).max(axis=1)[right]
    return right[np.argsort(confidence, kind="stable")]


def judged(
    index: DatasetIndex,
    table: PredictionTable,
    pixels: Pixels,
    chosen: NDArray[np.int64],
    temperature: float,
) -> list[Tile]:
    """A tile for each of these places in the table: right ones yellow, wrong ones red with the truth."""
    truth, predicted = truth_of(index, table)[chosen], table.predicted()[chosen]
    confidence = table.probabilities(temperature).max(axis=1)[chosen]
    tiles: list[Tile] = []
    for number, photo in enumerate(_photos(pixels, table.rows[chosen])):
        said, is_ = int(predicted[number]), int(truth[number])
        caption = f"{percent(float(confidence[number]))} {one_line(table.classes[said])}"
        if is_ < 0:
            tiles.append(Tile(photo, caption))
        elif said == is_:
            tiles.append(Tile(photo, caption, "right"))
        else:
            tiles.append(Tile(photo, f"{caption}\ntruth: {one_line(table.classes[is_])}", "wrong"))
    return tiles


def one_line(name: str) -> str:
    return " ".join(name.split())


def truth_of(index: DatasetIndex, table: PredictionTable) -> NDArray[np.int64]:
    """int64 (N,), −1 where unknown."""
    if table.labels is not None:
        return table.labels
    if table.classes == index.classes:
        return index.labels[table.rows]
    return np.full(len(table.rows), -1, dtype=np.int64)


def _spread(labels: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """Rows, sorted by class: in turns one photo of each class that still has some."""
    present = np.unique(labels[labels >= 0])
    present = np.sort(random.permutation(present)[:_SAMPLES])
    queues = [random.permutation(np.flatnonzero(labels == k)) for k in present]
    turns = [(turn, k, row) for k, queue in enumerate(queues) for turn, row in enumerate(queue[:_SAMPLES])]
    first = sorted(turns)[:_SAMPLES]
    return np.array([row for _, _, row in sorted(first, key=lambda t: (t[1], t[0]))], dtype=np.int64)


def _photos(pixels: Pixels, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    return pixels(rows) if len(rows) else np.zeros((0, 1, 1, 3), dtype=np.uint8)


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))
