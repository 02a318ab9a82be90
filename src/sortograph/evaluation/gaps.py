"""How far the splits lie apart: a model that knows its training photos by heart shows here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sortograph.records import EvaluationResult

_COMPARED = ("accuracy", "log_loss")


def with_gaps(results: Mapping[str, EvaluationResult]) -> dict[str, EvaluationResult]:
    """The same results by split, each with `gaps` to every other: "accuracy: train - test" → difference.

    Accuracy and log loss, in the order of `results`; nothing is rounded.
    """
    return {split: replace(result, gaps=_gaps(split, result, results)) for split, result in results.items()}


def _gaps(split: str, result: EvaluationResult, results: Mapping[str, EvaluationResult]) -> dict[str, float]:
    return {
        f"{name}: {split} - {other}": result.metrics[name].value - results[other].metrics[name].value
        for name in _COMPARED
        for other in results
        if other != split
    }
