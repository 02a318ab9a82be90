"""What photos that training has seen do to the figures of the other splits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sortograph.evaluation.gaps import with_gaps
from sortograph.evaluation.intervals import share_of
from sortograph.evaluation.metrics import judge
from sortograph.evaluation.slices import slices
from sortograph.records import DatasetIndex, EvaluationResult, PredictionTable


def judge_all(
    index: DatasetIndex, tables: Iterable[PredictionTable], *, temperature: float = 1.0
) -> dict[str, EvaluationResult]:
    """Everything that is said of each split, with slices, gaps and leaks; `tables` have rows of `index`.

    Photos of one group, near duplicates of each other included, count as less than strangers in intervals.
    A split that shares photos with train also gets "accuracy_unseen": the accuracy on the others, where
    there are any. Raises DataError as `judge` does.
    """
    overlaps = index.overlaps()
    results = {}
    for table in tables:
        groups = groups_of(index, table.rows)
        leaks = {first: n for (first, second), n in overlaps.items() if second == table.split}
        result = judge(table, temperature=temperature, groups=groups)
        result = replace(result, leaks=leaks, slices=slices(index, table, groups))
        results[table.split] = _with_unseen(result, table, index) if "train" in leaks else result
    return with_gaps(results)


def groups_of(index: DatasetIndex, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Which of these photos belong together, int64 (N,); None where each stands for itself."""
    from sortograph.dataset.units import units  # with all that reads photos

    found = units(index, rows.tolist(), 0)
    if len(found) == len(rows):
        return None
    number = {row: k for k, unit in enumerate(found) for row in unit.rows}
    return np.array([number[row] for row in rows.tolist()], dtype=np.int64)


def _with_unseen(result: EvaluationResult, table: PredictionTable, index: DatasetIndex) -> EvaluationResult:
    unseen = ~index.held_by("train", table.rows)
    if not unseen.any():
        return result
    right = (table.predicted() == table.labels)[unseen]
    groups = groups_of(index, table.rows[unseen])
    accuracy = share_of(right, groups, result.metrics["accuracy"].level)
    return replace(result, metrics={**result.metrics, "accuracy_unseen": accuracy})
