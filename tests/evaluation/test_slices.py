"""Accuracy by what photos are like."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sortograph.evaluation.slices import slices
from sortograph.records import LOOK, DatasetIndex, PredictionTable

N = 90


def make(
    wrong: np.ndarray, *, looks: bool = True, folders: tuple[str, ...] = ("",)
) -> tuple[DatasetIndex, PredictionTable]:
    random = np.random.default_rng(0)
    drawn = np.zeros(N if looks else 0, dtype=LOOK)
    if looks:
        drawn["brightness"], drawn["sharpness"] = np.arange(N), random.random(N)
    paths = tuple(f"{folders[k % len(folders)]}cat/{k}.jpg" for k in range(N))
    index = DatasetIndex(
        root=Path("photos"),
        classes=("cat", "dog"),
        paths=paths,
        labels=np.zeros(N, dtype=np.int64),
        groups=("",) * N,
        splits=("test",) * N,
        sha256=tuple(map(str, range(N))),
        sizes=np.full((N, 2), 100, dtype=np.int32),
        looks=drawn,
    )
    logits = np.where(wrong[:, None], [0.0, 1.0], [1.0, 0.0]).astype(np.float32)
    return index, PredictionTable(np.arange(N), logits, index.labels, index.classes, "test")


def test_the_slice_where_the_model_fails_comes_first() -> None:
    found = slices(*make(np.arange(N) < 20))  # the darkest are wrong
    worst = found[0]
    assert (worst.property, worst.name) == ("brightness", "dark (up to 29.7)")
    assert (worst.accuracy.n, worst.accuracy.value) == (30, 1 / 3)
    assert worst.difference.high < 0
    assert {one.property for one in found} == {"brightness", "sharpness"}, "all have one size and one kind"


def test_chance_alone_shows_no_weakness() -> None:
    found = slices(*make(np.random.default_rng(3).random(N) < 0.1))
    assert all(one.difference.high > 0 for one in found)


def test_folders_are_told_without_the_folder_of_the_class() -> None:
    found = slices(*make(np.arange(N) % 3 == 0, looks=False, folders=("phone/", "camera/", "web/")))
    assert (found[0].property, found[0].name) == ("folder", "phone")
    assert {one.name for one in found} == {"phone", "camera", "web"}


def test_few_photos_and_missing_labels_give_none() -> None:
    index, table = make(np.zeros(N, dtype=np.bool_))
    few = PredictionTable(table.rows[:9], table.logits[:9], index.labels[:9], table.classes, "test")
    assert slices(index, few) == ()
    assert slices(index, PredictionTable(table.rows, table.logits, None, table.classes, "test")) == ()
