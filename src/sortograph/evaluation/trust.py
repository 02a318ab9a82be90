"""All that photos which neither taught nor chose can promise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sortograph.evaluation.abstain import abstain_table, one_of_each
from sortograph.evaluation.calibration import fitted_temperature
from sortograph.evaluation.conformal import conformal_table
from sortograph.evaluation.likeness import likeness_row
from sortograph.records import PredictionTable, Trust


def trust(
    table: PredictionTable,
    groups: NDArray[np.int64] | None = None,
    likeness: NDArray[np.float64] | None = None,
) -> Trust | None:
    """Temperature, thresholds of abstention, conformal sets and the least likeness; None without photos.

    table: answers with labels; groups: int64 (N,) as in `judge`; likeness: float64 (N,) as in `likeness_row`

    The temperature is fitted to all photos. What promises something of new photos counts photos that are
    independent: one of each group.
    """
    n = len(table.rows)
    if not n or table.labels is None:
        return None
    temperature = fitted_temperature(table)
    probabilities = table.probabilities(temperature)
    alone = np.arange(n) if groups is None else one_of_each(groups)
    right = (table.predicted() == table.labels)[alone]
    unlike = None if likeness is None else likeness_row(likeness[alone])
    # As the model will tell them: single precision makes equal what is nearly certain.
    confidence = probabilities.max(axis=1).astype(np.float32).astype(np.float64)
    if unlike is not None and likeness is not None:  # such photos are withheld, whatever their answer
        confidence = np.where(likeness < unlike.threshold, 0.0, confidence)
    return Trust(
        split=table.split,
        n=n,
        groups=len(alone),
        temperature=temperature,
        abstain=abstain_table(confidence[alone], right),
        conformal=conformal_table(probabilities[alone], table.labels[alone]),
        likeness=unlike,
        lacking=tuple(name for k, name in enumerate(table.classes) if k not in table.labels),
    )
