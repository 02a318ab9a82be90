"""Where a model is weak: classes, kinds of photos, and classes that are taken for each other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sortograph.records import ClassScore, Estimate, EvaluationResult, Slice
from sortograph.reporting.facts import Cell, number, rate

SHOWN = 20  # classes of the page's table; the others are folded away
_PAIRS = 10


@dataclass(frozen=True, slots=True)
class ClassRow:
    """auroc, average_precision  None where the split cannot tell"""

    name: str
    precision: Cell
    recall: Cell
    f1: Cell
    support: int
    auroc: Cell | None
    average_precision: Cell | None


@dataclass(frozen=True, slots=True)
class SliceRow:
    """`difference` to the other photos in points, and its interval; `weak` where that lies below 0."""

    property: str
    name: str
    accuracy: Cell
    difference: str
    interval: str
    weak: bool
    verdict: str


@dataclass(frozen=True, slots=True)
class Confused:
    """`count` of the `n` photos of a class were given the name of another."""

    truth: str
    predicted: str
    count: int
    n: int


def class_rows(result: EvaluationResult) -> list[ClassRow]:
    """The lowest F1 first; classes without photos last."""
    return [_class_row(score) for score in sorted(result.per_class, key=_lowest_first)]


def slice_rows(result: EvaluationResult) -> list[SliceRow]:
    """In the order of the record: the worst first."""
    return [_slice_row(found) for found in result.slices]


def confused_rows(result: EvaluationResult) -> list[Confused]:
    """Up to ten pairs of classes, those with the most photos first."""
    counts = result.confusion.copy()
    np.fill_diagonal(counts, 0)
    names, photos = [score.name for score in result.per_class], result.confusion.sum(axis=1)
    worst = np.argsort(-counts, axis=None, kind="stable")[:_PAIRS]
    places = [divmod(int(place), len(names)) for place in worst]
    return [
        Confused(names[truth], names[said], int(counts[truth, said]), int(photos[truth]))
        for truth, said in places
        if counts[truth, said]
    ]


def points(share: float) -> str:
    """
    >>> points(-0.0402), points(0.001)
    ('−4.0', '+0.1')
    """
    return f"{100 * share:+.1f}".replace("-", "−")


def _lowest_first(score: ClassScore) -> tuple[bool, float, str]:
    value = score.f1.value if math.isfinite(score.f1.value) else 2.0
    return not score.support, value, score.name


def _class_row(score: ClassScore) -> ClassRow:
    ranked = (score.auroc, score.average_precision)
    return ClassRow(
        score.name,
        rate(score.precision),
        rate(score.recall),
        rate(score.f1),
        score.support,
        *(number(found) if found else None for found in ranked),
    )


def _slice_row(found: Slice) -> SliceRow:
    gap = found.difference
    return SliceRow(
        property=found.property,
        name=found.name,
        accuracy=rate(found.accuracy),
        difference=f"{points(gap.value)} points",
        interval=f"{points(gap.low)} to {points(gap.high)}",
        weak=gap.high < 0,
        verdict=_verdict(gap),
    )


def _verdict(gap: Estimate) -> str:
    """
    >>> _verdict(Estimate(-0.1, -0.2, -0.01, 0.95, 80, ""))
    'weaker than the others'
    """
    if gap.high < 0:
        return "weaker than the others"
    return "better than the others" if gap.low > 0 else "within chance"
