"""How far the splits lie apart: a model that knows its training photos by heart shows here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sortograph.evaluation.intervals import difference
from sortograph.records import EvaluationResult

_COMPARED = ("accuracy", "log_loss")


def with_gaps(results: Mapping[str, EvaluationResult]) -> dict[str, EvaluationResult]:
    """The same results by split, each with `gaps` to every other: "accuracy: train - test" → difference.

    Accuracy and log loss, in the order of `results`; nothing is rounded. Those of accuracy have Newcombe's
    score interval in `gap_intervals`, which takes the photos of two splits for different ones.
    """
    return {split: _with_gaps(result, results) for split, result in results.items()}


def _with_gaps(result: EvaluationResult, results: Mapping[str, EvaluationResult]) -> EvaluationResult:
    others = [other for other in results.values() if other.split != result.split]
    gaps = {
        f"{name}: {result.split} - {other.split}": result.metrics[name].value - other.metrics[name].value
        for name in _COMPARED
        for other in others
    }
    intervals = {}
    for other in others:
        gap = difference(result.metrics["accuracy"], other.metrics["accuracy"])
        intervals[f"accuracy: {result.split} - {other.split}"] = (gap.low, gap.high)
    return replace(result, gaps=gaps, gap_intervals=intervals)
