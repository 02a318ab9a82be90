"""Tiny runs in memory: noise around a colour for each class, 8 × 8 pixels, a few hundred weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sortograph.models import plan
from sortograph.recipe import Recipe, make_recipe
from sortograph.records import DatasetIndex, EpochRow, Event, PreprocessSpec
from sortograph.training.checkpoint import read_checkpoint
from sortograph.training.fit import fit
from sortograph.training.loop import Fitted, Task

SIZE = (8, 8)
SMALL: dict[str, dict[str, Any]] = {
    "pixels": {"size": 8},
    "model": {"filters": [4, 5], "dense": [6]},
    # bfloat16 where a processor has it would make some tests depend on the machine.
    "train": {"epochs": 3, "batch_size": 5, "precision": "float32", "learning_rate": 0.01},
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Threads cost such small networks more than they gain, most of all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Memory:
    """Stands in for PhotoPixels."""

    def __init__(self, photos: NDArray[np.uint8], spec: PreprocessSpec) -> None:
        self.photos, self.spec = photos, spec

    def training(self, index: DatasetIndex, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self.photos[rows]

    evaluation = training


def make_index(classes: int, count: int, validation: bool) -> DatasetIndex:
    """Of five photos, three are for training; class 0 has twice as many photos as the others."""
    splits = ("train", "train", "validation" if validation else "train", "train", "test")
    labels = np.array([max(0, row % (classes + 1) - 1) for row in range(count)], dtype=np.int64)
    return DatasetIndex(
        root=Path("photos"),
        classes=tuple("abcdef"[:classes]),
        paths=tuple(f"{row}.png" for row in range(count)),
        labels=labels,
        groups=("",) * count,
        splits=tuple(splits[row % 5] for row in range(count)),
        sha256=tuple(f"{row:064x}" for row in range(count)),
        sizes=np.full((count, 2), 8, dtype=np.int32),
    )


def make_photos(labels: NDArray[np.int64]) -> NDArray[np.uint8]:
    chance = np.random.default_rng(11)
    colours = chance.integers(80, 176, (6, 1, 1, 3))
    noise = chance.normal(0, 45, (len(labels), *SIZE, 3))
    return np.clip(colours[labels] + noise, 0, 255).astype(np.uint8)


@dataclass
class Run:
    """One recipe on one set of photos; `events` is what was told."""

    recipe: Recipe
    index: DatasetIndex
    pixels: Memory
    folder: Path
    events: list[Event] = field(default_factory=list)

    def task(self, stop: Callable[[], bool] = lambda: False) -> Task:
        return Task(self.recipe, self.index, self.pixels, self.folder, stop, self.events.append)  # type: ignore[arg-type]

    def fit(self, stop_after: float = math.inf, resume: bool = False) -> Fitted:
        """Train, until `stop` was asked for the `stop_after`-th time (once after each step and epoch)."""
        asked = 0

        def stop() -> bool:
            nonlocal asked
            asked += 1
            return asked >= stop_after

        made = plan(self.recipe.model, SIZE, len(self.index.classes))
        checkpoint = read_checkpoint(self.folder) if resume else None
        return fit(self.task(stop), made, checkpoint)[0]


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    """`make_run({"train": {"epochs": 2}}, classes=2)`: the small recipe with these changes."""

    def make(changes: dict[str, Any] | None = None, **options: Any) -> Run:
        classes, count = options.get("classes", 3), options.get("count", 40)
        given = changes or {}
        data = {key: {**SMALL.get(key, {}), **given.get(key, {})} for key in {*SMALL, *given}}
        recipe = make_recipe(data, "test")
        index = make_index(classes, count, options.get("validation", True))
        pixels = Memory(make_photos(index.labels), recipe.pixels.spec())
        return Run(recipe, index, pixels, tmp_path / options.get("folder", "checkpoints"))

    return make


@pytest.fixture
def same() -> Callable[[Fitted, Fitted], bool]:
    """Whether two runs ended with the same weights, to the bit."""

    def compare(one: Fitted, other: Fitted) -> bool:
        assert one.weights.keys() == other.weights.keys()
        return all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)

    return compare


@pytest.fixture
def figures() -> Callable[[Fitted], list[tuple[Any, ...]]]:
    """All of a history but the times."""

    def of(fitted: Fitted) -> list[tuple[Any, ...]]:
        return [
            (
                row.epoch,
                row.train_loss,
                row.train_accuracy,
                row.validation_loss,
                row.validation_accuracy,
                row.learning_rate,
                dict(row.gradient_norms),
            )
            for row in fitted.history
        ]

    return of


@pytest.fixture
def make_history() -> Callable[..., list[EpochRow]]:
    """Rows with these validation losses and, where given, accuracies."""

    def make(losses: Sequence[float | None], accuracies: Sequence[float] | None = None) -> list[EpochRow]:
        shares = accuracies or [0.5] * len(losses)
        return [
            EpochRow(epoch, 1.0, 0.5, loss, None if loss is None else share, 0.1, 1.0, 10.0)
            for epoch, (loss, share) in enumerate(zip(losses, shares, strict=True), start=1)
        ]

    return make
