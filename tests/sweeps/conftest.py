"""Spaces, and runs that are made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sortograph.evaluation import wilson
from sortograph.records import DatasetIndex, Estimate, EvaluationResult, RunRecord
from sortograph.records.sweeps import RunOutcome, RunTask
from sortograph.sweeps.answers import Answers
from sortograph.sweeps.reading import make_space
from sortograph.sweeps.space import Space


@pytest.fixture
def make() -> Callable[..., Space]:
    """A space of two variants; `data` goes over it."""

    def made(**data: Any) -> Space:
        plain = {"name": "mine", "recipe": "weather-base", "seeds": [1, 2],
                 "variant": [{"name": "a"}, {"name": "b", "set": {"train.optimiser": "sgd"}}]}  # fmt: skip
        return make_space(
            {key: value for key, value in {**plain, **data}.items() if value is not None}, "here"
        )

    return made


def _result(split: str, right: int, n: int) -> EvaluationResult:
    accuracy = wilson(right, n)
    loss = Estimate(1 - accuracy.value, 0.0, 1.0, 0.95, n, "t")
    return EvaluationResult(
        split, n, {"accuracy": accuracy, "log_loss": loss}, (), np.zeros((2, 2), dtype=np.int64), {}
    )


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., RunRecord]:
    """A finished run: photos that are named right of 100 train, 20 validation and 50 test photos."""

    def made(
        right: tuple[int, int, int] = (90, 15, 40), folder: Path | None = None, **changes: Any
    ) -> RunRecord:
        shares = zip(("train", "validation", "test"), right, (100, 20, 50), strict=True)
        evaluation = {split: _result(split, hits, n) for split, hits, n in shares}
        facts = {"status": "finished", "seconds": 4.0, "evaluation": evaluation, **changes}
        place = folder or tmp_path / "run"
        return RunRecord("r", place, {"name": "r"}, "f" * 64, 1, {}, (), **facts)

    return made


@pytest.fixture
def task(tmp_path: Path) -> Callable[..., RunTask]:
    def made(name: str = "a", seed: int = 1) -> RunTask:
        folder = tmp_path / "runs" / f"{name}-seed{seed}"
        return RunTask(name, seed, tmp_path / f"{name}.toml", (), tmp_path / "photos", folder)

    return made


@pytest.fixture
def outcome(task: Callable[..., RunTask], record: Callable[..., RunRecord]) -> Callable[..., RunOutcome]:
    def made(name: str, seed: int, right: tuple[int, int, int] = (90, 15, 40)) -> RunOutcome:
        one = task(name, seed)
        return RunOutcome(one, "finished", 4.0, record(right, one.folder))

    return made


@pytest.fixture
def answers() -> Callable[..., Answers]:
    """Answers drawn at random: about `accuracy` of n photos right; photos differ in how hard they are."""

    def made(accuracy: float, n: int = 200, seeds: int = 3, draw: int = 0) -> Answers:
        hard = np.random.default_rng(7).random(n)
        noise = np.random.default_rng([draw, 1]).normal(0, 0.1, (seeds, n))
        right = (hard + noise < accuracy).astype(np.float64)
        return Answers(tuple(f"{k:04}.jpg" for k in range(n)), right)

    return made


@pytest.fixture
def index(tmp_path: Path) -> DatasetIndex:
    """Twelve photos that lie in a folder: eight to train on, two and two to judge; two classes."""
    import hashlib

    paths = tuple(f"{name}/{n}.jpg" for name in ("cat", "dog") for n in range(6))
    for path in paths:
        (tmp_path / "own" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / path).write_bytes(path.encode())
    splits = ("train",) * 4 + ("validation", "test")
    return DatasetIndex(
        root=tmp_path / "own",
        classes=("cat", "dog"),
        paths=paths,
        labels=np.repeat(np.arange(2), 6).astype(np.int64),
        groups=("",) * 11 + ("w1",),
        splits=splits * 2,
        sha256=tuple(hashlib.sha256(path.encode()).hexdigest() for path in paths),
        sizes=np.ones((12, 2), dtype=np.int32),
    )
