"""What photos that training has seen do to the figures of the other splits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from sortograph.evaluation.gaps import with_gaps
from sortograph.evaluation.intervals import wilson
from sortograph.evaluation.metrics import judge
from sortograph.records import DatasetIndex, EvaluationResult, PredictionTable


def judge_all(index: DatasetIndex, tables: Iterable[PredictionTable]) -> dict[str, EvaluationResult]:
    """Everything that is said of each split, with gaps and leaks between them; `tables` have rows of `index`.

    A split that shares photos with train also gets "accuracy_unseen": the accuracy on the others, where
    there are any. Raises DataError as `judge` does.
    """
    return with_gaps({table.split: _with_leaks(judge(table), table, index) for table in tables})


def _with_leaks(result: EvaluationResult, table: PredictionTable, index: DatasetIndex) -> EvaluationResult:
    leaks = {first: n for (first, second), n in index.overlaps().items() if second == table.split}
    if "train" not in leaks:
        return replace(result, leaks=leaks)
    taught = {index.sha256[row] for row in index.rows("train")}
    unseen = np.array([index.sha256[row] not in taught for row in table.rows], dtype=np.bool_)
    right = (table.predicted() == table.labels) & unseen
    metrics = dict(result.metrics)
    if unseen.any():
        metrics["accuracy_unseen"] = wilson(int(right.sum()), int(unseen.sum()), metrics["accuracy"].level)
    return replace(result, metrics=metrics, leaks=leaks)
