"""A budget that ends while photos are embedded: as many of them as there is time for, chosen fairly."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sortograph.dataset.thinning import at_least, judging_order, teaching_order, thinned, thinning_notes
from sortograph.errors import counted
from sortograph.features import FeatureKeeper, Pace
from sortograph.records import DatasetIndex

Rows = NDArray[np.int64]
_JUDGED = 0.5  # of the time, at most, for photos that judge, as long as some that teach are missing


@dataclass(frozen=True, slots=True)
class Fitted:
    """The photos that the time had room for; what is to be said where those are not all, and how the run
    could have them."""

    index: DatasetIndex
    lines: tuple[str, ...] = ()


def fitted(index: DatasetIndex, keeper: FeatureKeeper, late: float, *, seed: int, views: int = 0) -> Fitted:
    """Embed what has no embedding, until it is `late`, a reading of time.monotonic; leave out the rest.

    A few photos of every kind come first, whatever the time: nothing can be done without. Then those that
    judge, for half of the time at the most, then those that teach, then the others that judge. Training
    photos are thinned class by class, the others in the shares of the classes.
    views: how many augmented views of each training photo will be asked for later; they get half of the time
    """
    if not keeper.lacking(index, np.arange(len(index))):
        return Fitted(index)
    teaching, judging = teaching_order(index, seed), judging_order(index, seed)
    paces = [
        keeper.embed_until(index, at_least(index, teaching, judging), None),
        keeper.embed_until(index, judging, _share(late, _JUDGED)),
        keeper.embed_until(index, teaching, _share(late, 0.5 if views else 1.0)),
    ]
    if not keeper.lacking(index, teaching):
        paces.append(keeper.embed_until(index, judging, _share(late, 0.5 if views else 1.0)))
    splits = np.array(index.splits)
    orders = (teaching, *(judging[splits[judging] == split] for split in ("validation", "test")))
    some = thinned(index, [row for order in orders for row in _beginning(index, keeper, order)])
    if len(some) == len(index):
        return Fitted(index)
    return Fitted(some, (*thinning_notes(some), _more(index, keeper, paces)))


def _share(late: float, share: float) -> float:
    now = time.monotonic()
    return now + share * (late - now)


def _beginning(index: DatasetIndex, keeper: FeatureKeeper, order: Rows) -> list[int]:
    """These rows up to the first without an embedding: those behind it might be of a few classes alone."""
    first = next(iter(keeper.lacking(index, order)), None)
    rows: list[int] = order.tolist()
    return rows if first is None else rows[: rows.index(first)]


def _more(index: DatasetIndex, keeper: FeatureKeeper, paces: Sequence[Pace]) -> str:
    missing = len(keeper.lacking(index, np.arange(len(index))))
    photos = sum(pace.photos for pace in paces)
    if photos:
        seconds = sum(pace.seconds for pace in paces) / photos * missing
        what = f"the {counted(missing, 'photo')} without embeddings would take about {seconds:.0f} s more"
    else:
        what = f"{counted(missing, 'photo')} would be embedded, too"
    return f"with more time: {what}; embeddings are kept, so that the same command goes further"
