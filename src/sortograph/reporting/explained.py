"""Pictures that explain answers: where in the photo, like which photos, and which classes are mixed up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sortograph.records import DatasetIndex, Explanation, PredictionTable
from sortograph.reporting.galleries import Pixels, hits, judged, mistakes, one_line, percent, truth_of
from sortograph.reporting.sheet import Tile, draw_sheet

Heat = NDArray[np.float32]
Places = NDArray[np.int64]

_PAIRS = 4
_MISTAKEN, _TYPICAL = 3, 2  # photos of a pair, and of each of its classes
# From black over orange to yellow where the photo speaks for the class; blue where it speaks against it.
_WARM, _HOT, _COLD = (
    np.array(rgb, dtype=np.float32) for rgb in ((235, 70, 0), (255, 225, 60), (40, 120, 255))
)
_FAINT, _COVER = 0.1, 0.75  # heat that is not drawn; how much of the photo the highest heat hides


@dataclass(frozen=True, slots=True)
class Lookalikes:
    """The training photos that are most alike to some photos, the most alike first.

    places   int64 (Q,), in the table of answers
    rows     int64 (Q, K), of the index; cosines  float32 (Q, K), between the embeddings
    """

    places: Places
    rows: NDArray[np.int64]
    cosines: NDArray[np.float32]


def doubtful(index: DatasetIndex, table: PredictionTable, count: int, temperature: float = 1.0) -> Places:
    """Up to `count` places of the table: mistakes, the most confident first, then right answers, the least
    confident first."""
    found = [mistakes(index, table, temperature), hits(index, table, temperature)]
    return np.concatenate(found)[:count]


def overlay(pixels: NDArray[np.uint8], heatmap: Heat) -> NDArray[np.uint8]:
    """A photo, uint8 (H, W, 3), with a heatmap, float32 (H, W) in −1…1, laid over it.

    Orange to yellow speaks for the class, blue against it. The photo itself is nearly grey, so that its own
    colours are not taken for heat.
    """
    photo = pixels.astype(np.float32)
    grey = photo.mean(axis=2, keepdims=True)
    strength = np.clip((np.abs(heatmap) - _FAINT) / (1 - _FAINT), 0, 1)[..., None]
    warm = _WARM + (_HOT - _WARM) * strength
    colour = np.where(heatmap[..., None] > 0, warm, _COLD)
    cover = _COVER * strength
    mixed = (0.15 * photo + 0.7 * grey) * (1 - cover) + colour * cover
    drawn: NDArray[np.uint8] = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
    return drawn


def heatmap_sheet(
    index: DatasetIndex, table: PredictionTable, pixels: Pixels, heat: tuple[Places, Sequence[Heat]],
    temperature: float = 1.0,
) -> bytes:  # fmt: skip
    """Photos with what speaks for their answers laid over them; b"" without any.

    heat: places of the table, and a heatmap (H, W) of each for the class that was predicted
    """
    places, heatmaps = heat
    tiles = judged(index, table, pixels, places, temperature)
    drawn = [
        Tile(overlay(tile.pixels, found), tile.caption, tile.tone)
        for tile, found in zip(tiles, heatmaps, strict=True)
    ]
    return draw_sheet(drawn, columns=4, tile=180)


def lookalike_sheet(
    index: DatasetIndex, table: PredictionTable, pixels: Pixels, found: Lookalikes, temperature: float = 1.0
) -> bytes:
    """A row for each photo: the photo, then the training photos that are most alike, with their labels.

    b"" without any.
    """
    rows = judged(index, table, pixels, found.places, temperature)
    tiles: list[Tile] = []
    for tile, likes, cosines in zip(rows, found.rows, found.cosines, strict=True):
        tiles.append(tile)
        for row, photo, cosine in zip(likes.tolist(), pixels(likes), cosines.tolist(), strict=True):
            label = int(index.labels[row])
            name = one_line(index.classes[label]) if label >= 0 else "no label"
            tiles.append(Tile(photo, f"{name}\ncosine {cosine:.2f}"))
    return draw_sheet(tiles, columns=1 + found.rows.shape[1], tile=130)


def confused_sheet(
    index: DatasetIndex, table: PredictionTable, pixels: Pixels, *, temperature: float = 1.0
) -> bytes:
    """A row for each of the up to 4 pairs of classes that are taken for each other most often.

    Up to 3 photos that were mistaken, the most confident first, then the 2 right answers with the highest
    probability of either class. b"" without mistakes.
    """
    pairs = _pairs(truth_of(index, table), table.predicted(), len(table.classes))
    wrong, right = mistakes(index, table, temperature), hits(index, table, temperature)[::-1]
    tiles: list[Tile | None] = []
    for one, other in pairs:
        rows = [
            (_between(index, table, wrong, (one, other)), _MISTAKEN),
            (_between(index, table, right, (one,)), _TYPICAL),
            (_between(index, table, right, (other,)), _TYPICAL),
        ]
        for places, count in rows:
            tiles += judged(index, table, pixels, places[:count], temperature)
            tiles += [None] * (count - len(places[:count]))
    return draw_sheet(tiles, columns=_MISTAKEN + 2 * _TYPICAL, tile=130)


def explanation_tiles(found: Explanation) -> tuple[Tile, Tile]:
    """The photo as the model sees it, and beside it what speaks for the class."""
    name = one_line(found.class_name)
    said = f"{percent(found.probability)} {name}"
    if found.predicted != found.class_name:
        said += f"\npredicted: {one_line(found.predicted)}"
    told = found.method if found.strongest else f"{found.method}: nothing speaks for it"
    if found.covered is not None and found.strongest:
        told = f"with one part covered: {percent(found.covered)}"
    return Tile(found.pixels, said), Tile(overlay(found.pixels, found.heatmap), f"{name}\n{told}")


def _pairs(truth: NDArray[np.int64], said: NDArray[np.int64], classes: int) -> list[tuple[int, int]]:
    """Classes that are taken for each other, in either direction, most often first."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    wrong = (truth >= 0) & (truth != said)
    np.add.at(counts, (truth[wrong], said[wrong]), 1)
    both = np.triu(counts + counts.T, 1)
    order = np.argsort(-both, axis=None, kind="stable")[:_PAIRS]
    pairs = [divmod(int(at), classes) for at in order]
    return [pair for pair in pairs if both[pair]]


def _between(index: DatasetIndex, table: PredictionTable, places: Places, classes: tuple[int, ...]) -> Places:
    """Those of the places whose truth and answer are both among the classes."""
    truth, said = truth_of(index, table)[places], table.predicted()[places]
    return places[np.isin(truth, classes) & np.isin(said, classes)]
