"""The command line, called in this process; verbs that take long are stood in for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sortograph import api
from sortograph.cli.main import main
from sortograph.records import ClassScore, EpochRow, Estimate, EvaluationResult, RunRecord

CLASSES = ("cat", "dog")


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


@pytest.fixture
def call(capsys, monkeypatch, tmp_path) -> Callable[..., Said]:
    """One command in an empty folder: its exit code and what it wrote."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path / "cache"))

    def run(*arguments: object) -> Said:
        code = main([str(argument) for argument in arguments])
        written = capsys.readouterr()
        return Said(code, written.out, written.err)

    return run


@pytest.fixture
def photos(tmp_path) -> Path:
    """Two classes of eight photos each, and one file that is no photo."""
    for label, colour in (("cat", (200, 30, 30)), ("개", (20, 60, 220))):
        folder = tmp_path / "photos" / label
        folder.mkdir(parents=True)
        for number in range(8):
            Image.new("RGB", (20, 16), (*colour[:2], colour[2] + number)).save(folder / f"{number}.png")
    (tmp_path / "photos" / "cat" / "broken.jpg").write_bytes(b"no photo")
    return tmp_path / "photos"


def estimate(value: float, n: int) -> Estimate:
    return Estimate(value, max(0.0, value - 0.05), min(1.0, value + 0.05), 0.95, n, "wilson")


def result(
    split: str, accuracy: float, n: int, classes: tuple[str, ...] = CLASSES, **gaps: float
) -> EvaluationResult:
    share = estimate(accuracy, n)
    count = len(classes)
    return EvaluationResult(
        split=split,
        n=n,
        metrics={"accuracy": share, "log_loss": Estimate(0.4321, 0.4, 0.5, 0.95, n, "bootstrap")},
        per_class=tuple(ClassScore(name, share, share, share, n // count) for name in classes),
        confusion=np.arange(count * count, dtype=np.int64).reshape(count, count),
        gaps={f"accuracy: {split} - {other}": gap for other, gap in gaps.items()},
    )


@pytest.fixture
def make_result() -> Callable[..., EvaluationResult]:
    return result


@pytest.fixture
def make_record(tmp_path) -> Callable[..., RunRecord]:
    def make(folder: Path = Path("runs/tiny"), status: str = "finished", epochs: int = 2) -> RunRecord:
        row = EpochRow(1, 0.5, 0.75, 0.6, 0.7, 1e-3, 1.5, 80.0)
        evaluation = {
            "train": result("train", 0.95, 40, test=0.15, validation=-0.01),
            "validation": result("validation", 0.96, 10),
            "test": result("test", 0.8, 10),
        }
        return RunRecord(
            "tiny", folder, {"name": "tiny"}, "f" * 64, 1, {}, (row,) * epochs, evaluation, status, 1, 3.0
        )

    return make


@pytest.fixture
def stand_in(monkeypatch) -> Callable[..., dict[str, Any]]:
    """Puts another function in the place of a verb of the API; gives what it was called with."""

    def put(verb: str, answer: Any = None, *, raises: BaseException | None = None) -> dict[str, Any]:
        seen: dict[str, Any] = {}

        def verb_(*arguments: Any, **options: Any) -> Any:
            seen.update(options, arguments=arguments)
            if raises is not None:
                raise raises
            return answer

        getattr(api, verb)  # it must exist
        monkeypatch.setattr(api, verb, verb_, raising=False)
        return seen

    return put
