"""Made-up photos, runs and predictions for the pictures and the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sortograph.records import (
    ClassScore,
    DatasetIndex,
    EpochRow,
    Estimate,
    EvaluationResult,
    PredictionTable,
    Rejected,
    RunRecord,
)

KOREAN = ("음식", "실내", "실외")


def photo(row: int, label: int, side: int = 64) -> NDArray[np.uint8]:
    """A gradient with a shape on it, its hue by class."""
    random = np.random.default_rng(row)
    across = np.linspace(0, 1, side)[None, :, None]
    down = np.linspace(0, 1, side)[:, None, None]
    near, far = random.integers(40, 220, 3), random.integers(40, 220, 3)
    ground = (near * across + far * (1 - across)) * (0.5 + 0.5 * down)
    image = Image.fromarray(ground.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    x, y, r = random.integers(16, 48), random.integers(16, 48), random.integers(8, 18)
    box = (int(x - r), int(y - r), int(x + r), int(y + r))
    shape = (draw.ellipse, draw.rectangle, draw.chord)[label % 3]
    arguments = (box, 20, 300) if label % 3 == 2 else (box,)
    shape(*arguments, fill=tuple(int(v) for v in random.integers(90, 255, 3)))
    return np.asarray(image)


@dataclass(frozen=True)
class World:
    """An index with its photos, one run on it and the predictions of its test photos."""

    index: DatasetIndex
    table: PredictionTable
    run: RunRecord

    def pixels(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        return np.stack([photo(int(row), int(self.index.labels[row])) for row in rows])


def estimate(value: float, n: int, half: float = 0.04) -> Estimate:
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), 0.95, n, "wilson")


def evaluated(
    split: str, classes: tuple[str, ...], truth: NDArray[Any], said: NDArray[Any]
) -> EvaluationResult:
    count = len(classes)
    confusion = np.zeros((count, count), dtype=np.int64)
    np.add.at(confusion, (truth, said), 1)
    hits, n = confusion.diagonal(), len(truth)
    precision = hits / np.maximum(confusion.sum(axis=0), 1)
    recall = hits / np.maximum(confusion.sum(axis=1), 1)
    f1 = 2 * hits / np.maximum(confusion.sum(axis=0) + confusion.sum(axis=1), 1)
    accuracy = hits.sum() / n
    metrics = {
        "log_loss": Estimate(0.3312, 0.28, 0.391, 0.95, n, "bootstrap"),
        "accuracy": estimate(float(accuracy), n),
        "balanced_accuracy": estimate(float(recall.mean()), n),
        "macro_f1": estimate(float(f1.mean()), n),
    }
    scores = tuple(
        ClassScore(
            name, *(estimate(float(v[k]), n, 0.07) for v in (precision, recall, f1)), int((truth == k).sum())
        )
        for k, name in enumerate(classes)
    )
    gaps = {"accuracy: train - test": 0.0412, "log_loss: train - test": -0.11} if split == "test" else {}
    return EvaluationResult(split, n, metrics, scores, confusion, gaps)


def history(epochs: int) -> tuple[EpochRow, ...]:
    return tuple(
        EpochRow(e, 1.1 * 0.8**e + 0.2, 1 - 0.6 * 0.8**e, 1.1 * 0.82**e + 0.3 + 0.004 * e,
                 0.92 - 0.55 * 0.8**e, 1e-3, 2.0, 300.0)
        for e in range(1, epochs + 1)
    )  # fmt: skip


def make_world(folder: Path, classes: tuple[str, ...] = KOREAN, n: int = 420) -> World:
    random = np.random.default_rng(7)
    labels = np.arange(n, dtype=np.int64) % len(classes)
    splits = tuple(("train", "train", "validation", "test")[(i // len(classes)) % 4] for i in range(n))
    index = DatasetIndex(
        root=folder / "photos",
        classes=classes,
        paths=tuple(f"{classes[k]}/{i:04}.jpg" for i, k in enumerate(labels)),
        labels=labels,
        groups=("",) * n,
        splits=splits,
        sha256=tuple(f"{i:064x}" for i in range(n)),
        sizes=np.full((n, 2), 64, dtype=np.int32),
        rejected=(Rejected("음식/broken.jpg", "damaged (image file is truncated)"),),
        ignored=3,
        notes=("no test split was given: 25 % of train was cut off for it",),
    )
    rows = index.rows("test")
    logits = random.normal(size=(len(rows), len(classes))).astype(np.float32)
    logits[np.arange(len(rows)), labels[rows]] += 2.4
    table = PredictionTable(rows, logits, labels[rows], classes, "test")
    evaluation = {
        split: evaluated(split, classes, labels[at], said)
        for split, at, said in (
            ("train", index.rows("train"), labels[index.rows("train")]),
            ("validation", index.rows("validation"), labels[index.rows("validation")]),
            ("test", rows, table.predicted()),
        )
    }
    run = RunRecord(
        id="cnn-20261121-071558",
        folder=folder / "runs" / "cnn-20261121-071558",
        recipe={"name": "cnn", "epochs": 20, "optim": {"name": "adamw", "rate": 0.001}, "sizes": [64, 64]},
        fingerprint="f00d" * 16,
        seed=42,
        environment={"sortograph": "0.1.0", "python": "3.12.3", "device": {"name": "CPU", "threads": 2}},
        history=history(20),
        evaluation=evaluation,
        status="finished",
        best_epoch=17,
        seconds=131.0,
    )
    return World(index, table, run)


def redone(world: World, **changes: Any) -> World:
    return replace(world, run=replace(world.run, **changes))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., World]:
    return lambda **options: make_world(tmp_path, **options)
