"""Measured numbers, each with its count and its interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sortograph.records.trust import ReliabilityBin


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with the interval [low, high] at `level`, from `n` photos by `method`.

    >>> str(Estimate(0.953, 0.921, 0.973, 0.95, 337, "wilson"))
    '0.953 [0.921, 0.973], n = 337'
    """

    value: float
    low: float
    high: float
    level: float
    n: int
    method: str

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}], n = {self.n}"


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class on one split; `support` is its number of photos.

    auroc, average_precision  of its probability; None where the split has photos of this class alone, or none
    """

    name: str
    precision: Estimate
    recall: Estimate
    f1: Estimate
    support: int
    auroc: Estimate | None = None
    average_precision: Estimate | None = None

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> ClassScore:
        """Raises KeyError or TypeError on other data."""
        ranked = {name: row.get(name) for name in ("auroc", "average_precision")}
        return cls(
            name=row["name"],
            precision=Estimate(**row["precision"]),
            recall=Estimate(**row["recall"]),
            f1=Estimate(**row["f1"]),
            support=row["support"],
            **{name: Estimate(**found) if found else None for name, found in ranked.items()},
        )


@dataclass(frozen=True, slots=True)
class Slice:
    """Photos of a split that are alike in one property, such as "brightness", "dark (up to 61)".

    difference  of their accuracy to that of the other photos
    """

    property: str
    name: str
    accuracy: Estimate
    difference: Estimate

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Slice:
        """Raises KeyError or TypeError on other data."""
        accuracy, to_others = Estimate(**row["accuracy"]), Estimate(**row["difference"])
        return cls(row["property"], row["name"], accuracy, to_others)


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """All that was measured on one split.

    metrics    name → Estimate: "accuracy", "balanced_accuracy", "log_loss", …; where the split shares photos
               with train, "accuracy_unseen" of the others, if there are any
    confusion  int64 (C, C), rows are truth, columns are predictions
    gaps       differences to other splits, as "accuracy: train - test" → difference
    gap_intervals  of the accuracies: the same keys → (low, high) at their level
    leaks      other split → photos of this one that also lie there, or nearly; of train, validation and test
               only those before this one, and none without such photos
    reliability  how often answers of some probability are right
    slices     accuracy by what the photos are like, the worst first
    chose      photos of this split that helped to choose the model, or are kept to choose among runs
    choosing   metrics of these photos alone, those by which a run may be chosen; empty where there are none
    """

    split: str
    n: int
    metrics: Mapping[str, Estimate]
    per_class: tuple[ClassScore, ...]
    confusion: NDArray[np.int64]
    gaps: Mapping[str, float]
    gap_intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    leaks: Mapping[str, int] = field(default_factory=dict)
    reliability: tuple[ReliabilityBin, ...] = ()
    slices: tuple[Slice, ...] = ()
    chose: int = 0
    choosing: Mapping[str, Estimate] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "metrics": {name: asdict(estimate) for name, estimate in self.metrics.items()},
            "per_class": [asdict(score) for score in self.per_class],
            "confusion": self.confusion.tolist(),
            "gaps": dict(self.gaps),
            "gap_intervals": {key: list(ends) for key, ends in self.gap_intervals.items()},
            "leaks": dict(self.leaks),
            "reliability": [asdict(found) for found in self.reliability],
            "slices": [asdict(found) for found in self.slices],
            "chose": self.chose,
            "choosing": {name: asdict(estimate) for name, estimate in self.choosing.items()},
        }

    @classmethod
    def from_json(cls, split: str, data: Mapping[str, Any]) -> EvaluationResult:
        """The inverse of `to_json`. Raises KeyError or TypeError on other data."""
        return cls(
            split=split,
            n=data["n"],
            metrics={name: Estimate(**estimate) for name, estimate in data["metrics"].items()},
            per_class=tuple(ClassScore.from_json(row) for row in data["per_class"]),
            confusion=np.array(data["confusion"], dtype=np.int64),
            gaps=dict(data["gaps"]),
            gap_intervals={key: (low, high) for key, (low, high) in data.get("gap_intervals", {}).items()},
            leaks=dict(data.get("leaks", {})),
            reliability=tuple(_bin(row) for row in data.get("reliability", ())),
            slices=tuple(Slice.from_json(row) for row in data.get("slices", ())),
            chose=int(data.get("chose", 0)),
            choosing={name: Estimate(**found) for name, found in data.get("choosing", {}).items()},
        )


def _bin(row: Mapping[str, Any]) -> ReliabilityBin:
    return ReliabilityBin(row["low"], row["high"], row["confidence"], Estimate(**row["accuracy"]))


def leaks(evaluation: Mapping[str, EvaluationResult]) -> dict[str, int]:
    """Of all splits: "train/test" → photos of test whose content also lies in train."""
    return {
        f"{other}/{split}": n for split, result in evaluation.items() for other, n in result.leaks.items()
    }
