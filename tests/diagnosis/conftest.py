"""Runs made by formula: photos by class and split, curves, and how many photos were named right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sortograph.diagnosis import RunLog, verdicts
from sortograph.evaluation import with_gaps
from sortograph.evaluation.intervals import wilson
from sortograph.recipe import load_recipe
from sortograph.records import (
    ClassScore,
    DatasetIndex,
    Diagnosis,
    EpochRow,
    Estimate,
    EvaluationResult,
    RunRecord,
)

CLASSES = ("cloudy", "rain", "shine", "sunrise")
COUNTS = {"train": (160,) * 4, "validation": (15,) * 4, "test": (60,) * 4}
LAYERS = ("conv1", "conv2", "dense1", "output")


def index_of(
    counts: Mapping[str, Sequence[int]] = COUNTS, classes: Sequence[str] = CLASSES, **columns: Any
) -> DatasetIndex:
    """Photos of that many in each split and class; all contents and sizes differ."""
    rows = [
        (split, label)
        for split, numbers in counts.items()
        for label, number in enumerate(numbers)
        for _ in range(number)
    ]
    n = len(rows)
    given: dict[str, Any] = {
        "root": Path("photos"),
        "classes": tuple(classes),
        "paths": tuple(f"{k}.jpg" for k in range(n)),
        "labels": np.array([label for _, label in rows], dtype=np.int64),
        "groups": ("",) * n,
        "splits": tuple(split for split, _ in rows),
        "sha256": tuple(f"{k:064x}" for k in range(n)),
        "sizes": np.stack([np.arange(n) + 100, np.arange(n) + 200], axis=1).astype(np.int32),
    }
    return DatasetIndex(**given | columns)


def matrix_of(counts: Sequence[int], accuracy: float | Sequence[float]) -> np.ndarray[Any, Any]:
    """A confusion with that accuracy of each class; what is wrong goes to the next class."""
    recalls = np.broadcast_to(accuracy, len(counts))
    right = np.round(np.array(counts) * recalls).astype(np.int64)
    matrix = np.diag(right)
    for k, number in enumerate(counts):
        matrix[k, (k + 1) % len(counts)] += number - right[k]
    return matrix


def judged(
    split: str, matrix: np.ndarray[Any, Any], classes: Sequence[str], loss: float = 0.3, **changes: Any
) -> EvaluationResult:
    n = int(matrix.sum())
    reach = 3 * loss / np.sqrt(n)
    share = [wilson(int(matrix[k, k]), max(1, int(matrix[k].sum()))) for k in range(len(matrix))]
    metrics = {
        "accuracy": wilson(int(matrix.trace()), n),
        "log_loss": Estimate(loss, max(0.0, loss - reach), loss + reach, 0.95, n, "student t"),
    }
    scores = tuple(
        ClassScore(name, one, one, one, int(matrix[k].sum()))
        for k, (name, one) in enumerate(zip(classes, share, strict=True))
    )
    return EvaluationResult(
        split, n, metrics | changes.pop("metrics", {}), scores, matrix.astype(np.int64), {}, **changes
    )


def history_of(
    train_loss: Sequence[float],
    *,
    train_accuracy: Sequence[float] | float = 0.9,
    validation_loss: Sequence[float] | float | None = 0.3,
    validation_accuracy: Sequence[float] | float | None = 0.9,
    norms: Sequence[Sequence[float]] | Sequence[float] = (1.0, 1.0, 1.0, 1.0),
) -> tuple[EpochRow, ...]:
    """`norms`: of every layer, the same in all epochs, or one line an epoch."""
    epochs = len(train_loss)

    def column(values: Any) -> list[Any]:
        return [values] * epochs if np.ndim(values) == 0 else list(values)

    lines = np.broadcast_to(np.array(norms, dtype=np.float64), (epochs, len(LAYERS)))
    return tuple(
        EpochRow(
            epoch + 1,
            float(train_loss[epoch]),
            column(train_accuracy)[epoch],
            column(validation_loss)[epoch],
            column(validation_accuracy)[epoch],
            1e-3,
            1.0,
            100.0,
            dict(zip(LAYERS, lines[epoch].tolist(), strict=True)),
        )
        for epoch in range(epochs)
    )


def falling(epochs: int = 20, start: float = 1.3, end: float = 0.2) -> list[float]:
    """A loss that falls ever more slowly."""
    return [end + (start - end) * 0.75**k for k in range(epochs)]


def record_of(
    history: Sequence[EpochRow],
    accuracies: Mapping[str, Any],
    *,
    counts: Mapping[str, Sequence[int]] = COUNTS,
    recipe: str = "weather-base",
    sets: Sequence[str] = (),
    **changes: Any,
) -> RunRecord:
    """accuracies: split → accuracy, of all or of each class, or the result itself."""
    classes = changes.pop("classes", CLASSES)
    results = {
        split: found
        if isinstance(found, EvaluationResult)
        else judged(split, matrix_of(counts[split], found), classes)
        for split, found in accuracies.items()
    }
    fields: dict[str, Any] = {
        "id": "run",
        "folder": Path("runs/run"),
        "recipe": load_recipe(recipe, list(sets)).to_dict(),
        "fingerprint": "f" * 64,
        "seed": 1,
        "environment": {},
        "history": tuple(history),
        "evaluation": with_gaps(results),
        "status": "finished",
        "best_epoch": len(history) or None,
    }
    return RunRecord(**fields | changes)


@pytest.fixture(scope="session")
def make_index() -> Callable[..., DatasetIndex]:
    return index_of


@pytest.fixture(scope="session")
def make_record() -> Callable[..., RunRecord]:
    return record_of


@pytest.fixture(scope="session")
def make_history() -> Callable[..., tuple[EpochRow, ...]]:
    return history_of


@pytest.fixture(scope="session")
def make_result() -> Callable[..., EvaluationResult]:
    return judged


@pytest.fixture(scope="session")
def make_matrix() -> Callable[..., Any]:
    return matrix_of


@pytest.fixture(scope="session")
def loss_curve() -> Callable[..., list[float]]:
    return falling


@pytest.fixture(scope="session")
def diagnose() -> Callable[..., Diagnosis]:
    """Verdicts on a run by formula; it is healthy unless something is said."""

    def made(
        history: Sequence[EpochRow] | None = None,
        accuracies: Mapping[str, Any] | None = None,
        *,
        index: DatasetIndex | None = None,
        counts: Mapping[str, Sequence[int]] = COUNTS,
        log: RunLog | None = None,
        **changes: Any,
    ) -> Diagnosis:
        history = history_of(falling()) if history is None else history
        found = {"train": 0.95, "validation": 0.93, "test": 0.93} if accuracies is None else accuracies
        record = record_of(history, found, counts=counts, **changes)
        classes = changes.get("classes", CLASSES)
        return verdicts(record, index or index_of(counts, classes), log=log)

    return made


@pytest.fixture(scope="session")
def names() -> Callable[[Diagnosis], list[str]]:
    return lambda diagnosis: [verdict.name for verdict in diagnosis.verdicts]
