"""Verdicts on real runs with planted faults: their histories and counts, kept by benchmarks/diagnosis.py."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sortograph import runs
from sortograph.diagnosis import RunLog, short, verdicts
from sortograph.evaluation.intervals import share
from sortograph.records import EvaluationResult

RECORDED = Path(__file__).with_name("recorded")
PLANTED = {
    "healthy": ["healthy"],
    "overfitted": ["overfitting"],
    "too-long": ["overfitting", "too-many-epochs"],
    "underfitted": ["underfitting"],
    "leaked": ["leak", "underfitting"],  # eight epochs are few
    "starved": ["starved-class", "overfitting", "leak", "split-disagreement"],  # weather has duplicates
    "rate-too-high": ["learning-rate"],
    "zigzag": ["learning-rate", "underfitting"],
    "exploded": ["learning-rate", "exploding-gradients"],
    "vanishing": ["vanishing-gradients"],
}


@pytest.fixture
def recorded(make_record, make_index, tmp_path):
    def read(name: str):
        data = json.loads((RECORDED / f"{name}.json").read_text("utf-8"))
        (tmp_path / "history.csv").write_bytes((RECORDED / f"{name}.csv").read_bytes())
        results = {}
        for split, told in data["splits"].items():
            matrix = np.array(told["confusion"])
            rows = [
                {"name": one, "precision": recall, "recall": recall, "f1": recall, "support": int(line.sum())}
                for one, line, k in zip(data["classes"], matrix, range(len(matrix)), strict=True)
                for recall in [_estimate(int(line[k]), int(line.sum()))]
            ]
            told = {**told, "per_class": rows, "gaps": {}}
            results[split] = EvaluationResult.from_json(split, told)
        record = make_record(
            runs.read_history(tmp_path),
            results,
            classes=data["classes"],
            status=data["status"],
            best_epoch=data["best_epoch"],
        )
        return replace(record, recipe=data["recipe"]), make_index(data["counts"], data["classes"])

    return read


def _estimate(hits: int, n: int):
    found = share(hits, n)
    return {name: getattr(found, name) for name in ("value", "low", "high", "level", "n", "method")}


@pytest.mark.parametrize(("name", "expected"), PLANTED.items())
def test_the_planted_fault_is_named(recorded, name, expected):
    record, index = recorded(name)
    found = verdicts(record, index, log=RunLog())
    assert [verdict.name for verdict in found.verdicts] == expected
    told = short(found)
    assert bool(told.command) == any(remedy.trains for v in found.verdicts[:2] for remedy in v.remedies)


def test_figures_behind_them(recorded):
    leaked = verdicts(*recorded("leaked")).of("leak")
    assert "of 561 test photos also in train" in leaked.message
    starved = verdicts(*recorded("starved")).of("starved-class")
    assert starved.figures["classes"]["rain"]["train"] == 11
    long = verdicts(*recorded("too-long")).of("too-many-epochs")
    assert long.figures["best_epoch"] < 20
    assert long.figures["epochs"] == 60
    rate = verdicts(*recorded("rate-too-high"))
    assert rate.skipped["unstable"] == "the learning rate explains it"


def test_the_histories_are_those_of_runs():
    for name in PLANTED:
        with (RECORDED / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            assert len(list(csv.DictReader(file))) >= 3
