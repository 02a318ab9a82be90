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
    """Rows that choose (an epoch, a fine-tuned network) and rows that calibrate; together all `rows`.

    Seeded, class shares kept; near duplicates and groups stay on one side, which goes before equal halves.
    """
    some = replace(index[rows], splits=("",) * len(rows))
    done = cut(some, SplitPlan(seed, validation=0.5, test=0.0))
    return rows[done.rows("validation")], rows[done.rows("train")]
