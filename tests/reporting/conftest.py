"""Made-up photos, runs and predictions for the pictures and the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sortograph.evaluation import judge_all, trust
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
from sortograph.reporting import ReportView, render

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


VOID = {"meta", "img", "br", "link", "input", "hr"}
APART = {"th", "td", "dt", "dd", "li", "p", "small", "h1", "h2", "h3", "summary", "pre"}


class Page(HTMLParser):
    """Tags with their attributes, the visible text, and what was left open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.text += " " if tag in APART else ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


@dataclass(frozen=True)
class Advice:
    """What a diagnosis says in short."""

    lines: tuple[tuple[str, str], ...] = ()
    remedy: str = ""
    command: str = ""


def calibrated(world: World, n: int = 300, likeness: bool = True) -> World:
    """The same run as it is measured now: calibrated on n photos, with all figures."""
    random = np.random.default_rng(3)
    sizes = random.integers(40, 400, (len(world.index), 2)).astype(np.int32)
    index = replace(world.index, sizes=sizes)

    def answers(rows: NDArray[np.int64], split: str) -> PredictionTable:
        labels = index.labels[rows]
        logits = random.normal(size=(len(rows), len(index.classes))).astype(np.float32)
        logits[np.arange(len(rows)), labels] += 2.6
        return PredictionTable(rows, 1.7 * logits, labels, index.classes, split)

    rows = index.rows("validation")
    held_out = answers(np.resize(rows, n), "validation")
    like = random.uniform(0.5, 1.0, n) if likeness else None
    measured = trust(held_out, None, like)
    assert measured is not None
    tables = [answers(index.rows(split), split) for split in ("train", "validation", "test")]
    evaluation = judge_all(index, tables, temperature=measured.temperature)
    evaluation["validation"] = replace(evaluation["validation"], chose=12)
    return redone(replace(world, index=index), evaluation=evaluation, trust=measured)


@pytest.fixture
def parsed() -> Callable[..., Page]:
    """The page of a run, with pictures by name: well-formed, and easy to ask."""

    def parse(world: World, advice: Advice | None = None, **pictures: bytes) -> Page:
        page = Page(render(ReportView(world.run, world.index, pictures, advice)))
        assert page.open == []
        return page

    return parse


@pytest.fixture
def advise() -> Callable[..., Advice]:
    return Advice


@pytest.fixture
def calibrate() -> Callable[..., World]:
    return calibrated


@pytest.fixture
def sure(world: World) -> World:
    """A run with everything that is measured now."""
    return calibrated(world)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., World]:
    return lambda **options: make_world(tmp_path, **options)
