"""Validation in two: what chooses never calibrates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sortograph.dataset.split import SplitPlan, cut
from sortograph.records import DatasetIndex


def halved(
    index: DatasetIndex, rows: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that choose (an epoch, a fine-tuned network, a run) and rows that calibrate; together all `rows`.

    Seeded, class shares kept; near duplicates and groups stay on one side, which goes before equal halves.
    """
    some = replace(index[rows], splits=("",) * len(rows))
    done = cut(some, SplitPlan(seed, validation=0.5, test=0.0))
    return rows[done.rows("validation")], rows[done.rows("train")]


def reserved(index: DatasetIndex, rows: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Of validation `rows` those that choose and never calibrate: the first half of `halved`.

    All of them where they cannot be halved, being one photo or one group: then none calibrate.
    """
    if not len(rows):
        return rows
    select, _ = halved(index, rows, seed)
    return select if len(select) else rows
