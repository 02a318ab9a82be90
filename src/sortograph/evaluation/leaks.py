"""What photos that training has seen do to the figures of the other splits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sortograph.evaluation.gaps import with_gaps
from sortograph.evaluation.intervals import wilson
from sortograph.evaluation.metrics import judge
from sortograph.records import DatasetIndex, EvaluationResult, PredictionTable


def judge_all(index: DatasetIndex, tables: Iterable[PredictionTable]) -> dict[str, EvaluationResult]:
    """Everything that is said of each split, with gaps and leaks between them; `tables` have rows of `index`.

    A split that shares photos with train also gets "accuracy_unseen": the accuracy on the others, where
    there are any. Raises DataError as `judge` does.
    """
    overlaps = index.overlaps()
    results = {}
    for table in tables:
        leaks = {first: n for (first, second), n in overlaps.items() if second == table.split}
        result = replace(judge(table), leaks=leaks)
        results[table.split] = _with_unseen(result, table, index) if "train" in leaks else result
    return with_gaps(results)


def _with_unseen(result: EvaluationResult, table: PredictionTable, index: DatasetIndex) -> EvaluationResult:
    unseen = ~index.held_by("train", table.rows)
    if not unseen.any():
        return result
    right = (table.predicted() == table.labels) & unseen
    accuracy = wilson(int(right.sum()), int(unseen.sum()), result.metrics["accuracy"].level)
    return replace(result, metrics={**result.metrics, "accuracy_unseen": accuracy})
