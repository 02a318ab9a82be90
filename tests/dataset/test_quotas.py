from __future__ import annotations

import numpy as np
import pytest

from sortograph.dataset.quotas import quotas


def test_largest_remainder() -> None:
    # 15 % of 10, 14 and 16 photos is 1.5, 2.1 and 2.4: six in all, the sixth goes to the first class.
    table = quotas([10, 14, 16], {"test": 0.15})
    assert table == {"test": [2, 2, 2], "train": [8, 12, 14]}


def test_ties_are_shared_out_over_the_splits() -> None:
    # 1.5 photos of each class for both splits: no class gives two twice, so train holds seven of each.
    table = quotas([10] * 4, {"test": 0.15, "validation": 0.15})
    assert table == {"test": [2, 2, 1, 1], "validation": [1, 1, 2, 2], "train": [7] * 4}


def test_fractions_are_exact() -> None:
    assert quotas([100], {"test": 0.29})["test"] == [29]
    assert quotas([1000], {"test": 0.57})["test"] == [570]
    # 0.15 is a little less than that in floating point: 1.4999… would round to one photo.
    assert quotas([10], {"test": 0.15})["test"] == [2]
    assert quotas([10], {"test": np.float64(0.15)})["test"] == [2]


def test_small_classes_get_one_photo_each() -> None:
    assert quotas([3, 200], {"test": 0.01, "validation": 0.01}) == {
        "test": [1, 2], "validation": [1, 2], "train": [1, 196],
    }  # fmt: skip


def test_train_is_never_emptied() -> None:
    assert quotas([3, 5, 2, 1], {"test": 0.49, "validation": 0.5})["train"] == [1, 1, 1, 1]


def test_fraction_zero_is_not_cut() -> None:
    assert quotas([10], {"test": 0.0, "validation": 0.2}) == {"validation": [2], "train": [8]}
    assert quotas([10], {}) == {"train": [10]}


@pytest.mark.parametrize("fraction", [0.1, 0.15, 0.2, 0.333, 0.5])
def test_totals_are_the_rounded_fraction_of_all(fraction: float) -> None:
    sizes = [37, 120, 61, 55]
    assert abs(sum(quotas(sizes, {"test": fraction})["test"]) - fraction * sum(sizes)) <= 0.5
