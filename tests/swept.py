"""A small sweep, and runs that are not trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sortograph import runs
from sortograph.api import sweeping
from sortograph.evaluation import wilson
from sortograph.recipe import load_recipe
from sortograph.records import EpochRow, EvaluationResult, RunRecord

SPACE = """
name = "tiny"
recipe = "weather-base"
seeds = [1, 2]
reference = "adam"
[set]
"pixels.size" = 16
"model.filters" = [4]
"model.dense" = [8]
"train.epochs" = 1
"train.batch_size" = 8
"train.precision" = "float32"
[[variant]]
name = "adam"
[[variant]]
name = "sgd"
set = { "train.optimiser" = "sgd" }
[[claims]]
text = "Adam is better"
better = "adam"
worse = "sgd"
"""


@pytest.fixture
def space(tmp_path):
    file = tmp_path / "tiny.toml"
    file.write_text(SPACE)
    return file


@pytest.fixture
def quickly(monkeypatch, make_record):
    """No run is trained: each leaves what a sweep reads. `calls` has what was asked for."""
    calls: list[dict] = []

    def train(photos, **given):
        folder = Path(given["out"])
        calls.append({**given, "photos": photos})
        if fail := quick.fails.get(folder.name):
            raise fail
        recipe = load_recipe(str(given["recipe"]), given["overrides"], given["seed"])
        record = replace(make_record(folder), recipe=recipe.to_dict())
        runs.new_run("tiny", folder)
        runs.write_run(record)
        runs.write_history(folder, record.history)
        runs.write_evaluation(folder, record.evaluation)
        counts = {"train": 40, "validation": 10, "test": 10}
        photos_of = [(split, n) for split, count in counts.items() for n in range(count)]
        lines = [f"{n}.png,{split},a,a,0.9,{str(n % 5 > 0).lower()}" for split, n in photos_of]
        (folder / "predictions.csv").write_text(
            "path,split,label,predicted,probability,right\n" + "\n".join(lines)
        )
        return runs.read_run(folder)

    class Quick:
        def __init__(self):
            self.calls, self.fails = calls, {}

    quick = Quick()
    monkeypatch.setattr(sweeping, "train", train)
    return quick


@pytest.fixture
def make_record():
    def made(folder):
        evaluation = {
            split: EvaluationResult(
                split, n, {"accuracy": wilson(right, n)}, (), np.zeros((3, 3), np.int64), {}
            )
            for split, right, n in (("train", 15, 18), ("validation", 8, 10), ("test", 8, 10))
        }
        by_half = {"chose": 5, "choosing": {"accuracy": wilson(3, 5)}}
        evaluation["validation"] = replace(evaluation["validation"], **by_half)
        facts = {"status": "finished", "best_epoch": 1, "seconds": 4.0}
        row = EpochRow(1, 0.5, 0.75, 0.6, 0.7, 1e-3, 1.5, 80.0)
        return RunRecord(folder.name, folder, {"name": "t"}, "f" * 64, 1, {}, (row,), evaluation, **facts)

    return made


def titles(quickly):
    return [Path(call["out"]).name for call in quickly.calls]
