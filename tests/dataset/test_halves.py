"""Validation in two: what chooses never calibrates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sortograph.dataset.halves import halved, reserved
from sortograph.records import DatasetIndex


def index_of(labels: list[int], groups: list[str]) -> DatasetIndex:
    n = len(labels)
    return DatasetIndex(
        root=Path("photos"),
        classes=("cat", "dog"),
        paths=tuple(f"{k}.png" for k in range(n)),
        labels=np.array(labels, dtype=np.int64),
        groups=tuple(groups),
        splits=("validation",) * n,
        sha256=tuple(f"{k:064x}" for k in range(n)),
        sizes=np.ones((n, 2), dtype=np.int32),
    )


@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["", "a", "b"])), min_size=4), st.integers(0, 9))
def test_every_row_is_in_one_half_and_no_group_in_both(photos: list[tuple[int, str]], seed: int) -> None:
    index = index_of([label for label, _ in photos], [group for _, group in photos])
    rows = np.arange(1, len(index))
    select, calibrate = halved(index, rows, seed)
    assert sorted([*select, *calibrate]) == rows.tolist()
    held = [{index.groups[row] for row in half} - {""} for half in (select, calibrate)]
    assert held[0].isdisjoint(held[1])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_halves_are_equal_and_keep_class_shares(seed: int) -> None:
    index = index_of([0] * 30 + [1] * 10, [""] * 40)
    select, calibrate = halved(index, np.arange(40), seed)
    assert (
        np.bincount(index.labels[select]).tolist() == np.bincount(index.labels[calibrate]).tolist() == [15, 5]
    )


def test_the_seed_decides() -> None:
    index = index_of([0] * 30 + [1] * 30, [""] * 60)
    rows = np.arange(60)
    assert halved(index, rows, 3)[0].tolist() == halved(index, rows, 3)[0].tolist()
    assert halved(index, rows, 3)[0].tolist() != halved(index, rows, 4)[0].tolist()


def test_the_reserved_photos_are_the_half_that_chooses() -> None:
    index, rows = index_of([0] * 30 + [1] * 30, [""] * 60), np.arange(5, 60)
    assert reserved(index, rows, 3).tolist() == halved(index, rows, 3)[0].tolist()
    assert 0 < len(reserved(index, rows, 3)) < len(rows)


@pytest.mark.parametrize(("photos", "group"), [(0, ""), (1, ""), (6, "one room")])
def test_photos_that_cannot_be_halved_all_choose(photos: int, group: str) -> None:
    rows = np.arange(photos)
    assert reserved(index_of([0, 1] * 3, [group] * 6), rows, 0).tolist() == rows.tolist()
