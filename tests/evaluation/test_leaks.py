"""Photos that training has seen, in the figures of the other splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sortograph.evaluation import judge_all, share
from sortograph.records import DatasetIndex, EvaluationResult, PredictionTable, leaks

CLASSES = ("cat", "dog")


def make_index(**contents: str) -> DatasetIndex:
    """A photo for each letter, which is its content."""
    splits = [split for split, letters in contents.items() for _ in letters]
    n = len(splits)
    return DatasetIndex(
        root=Path("photos"),
        classes=CLASSES,
        paths=tuple(f"{k}.jpg" for k in range(n)),
        labels=np.zeros(n, dtype=np.int64),
        groups=("",) * n,
        splits=tuple(splits),
        sha256=tuple("".join(contents.values())),
        sizes=np.ones((n, 2), dtype=np.int32),
    )


def answers(index: DatasetIndex, split: str, right: str) -> PredictionTable:
    """A prediction for each photo of a split: + for right, . for wrong."""
    rows = index.rows(split)
    logits = np.array([[1, 0] if mark == "+" else [0, 1] for mark in right], dtype=np.float32)
    return PredictionTable(rows, logits, index.labels[rows], CLASSES, split)


def judged(index: DatasetIndex, **right: str) -> dict[str, EvaluationResult]:
    return judge_all(index, [answers(index, split, marks) for split, marks in right.items()])


def test_without_leaks_nothing_is_added():
    found = judged(make_index(train="abc", test="def"), train="+++", test="+.+")
    assert leaks(found) == {}
    assert "accuracy_unseen" not in found["test"].metrics
    assert found["train"].gaps["accuracy: train - test"] == pytest.approx(1 / 3)


def test_the_photos_that_training_has_not_seen_are_judged_apart():
    index = make_index(train="abcd", validation="ef", test="gachbie")
    found = judged(index, train="++++", validation="+.", test="+++.+.+")
    assert leaks(found) == {"train/test": 3, "validation/test": 1}
    test = found["test"]
    assert test.leaks == {"train": 3, "validation": 1}
    assert test.metrics["accuracy"] == share(5, 7)
    assert test.metrics["accuracy_unseen"] == share(2, 4), "g right, h wrong, i wrong, e right"
    assert "accuracy_unseen" not in found["validation"].metrics


def test_a_split_of_nothing_but_training_photos_has_no_such_accuracy():
    found = judged(
        make_index(train="abc", validation="abc", test="cd"), train="+++", validation="+++", test="+."
    )
    assert leaks(found) == {"train/validation": 3, "train/test": 1, "validation/test": 1}
    assert "accuracy_unseen" not in found["validation"].metrics
    assert found["test"].metrics["accuracy_unseen"] == share(0, 1)


def test_they_survive_the_trip_through_json():
    found = judged(make_index(train="abc", test="cd"), train="+++", test="+.")["test"]
    data = found.to_json()
    assert data["leaks"] == {"train": 1}
    assert data["gap_intervals"]["accuracy: test - train"] == pytest.approx(
        found.gap_intervals["accuracy: test - train"]
    )
    again = EvaluationResult.from_json("test", data)
    assert (again.leaks, again.gap_intervals) == (found.leaks, found.gap_intervals)
    for name in ("leaks", "gap_intervals"):
        del data[name]
    assert EvaluationResult.from_json("test", data).leaks == {}, "written before there were any"
