from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sortograph.records import DatasetIndex
from sortograph.training.heads.folds import folds

PHOTOS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 12), st.sampled_from(["", "", "", "house a", "house b"])),
    min_size=2,
    max_size=60,
)


def index_of(photos: list[tuple[int, int, str]]) -> DatasetIndex:
    """(class, content, group) of each photo; contents 0–4 come again in other photos, the rest are unique."""
    n = len(photos)
    return DatasetIndex(
        root=Path("photos"),
        classes=("a", "b", "c", "d"),
        paths=tuple(f"{row}.jpg" for row in range(n)),
        labels=np.array([k for k, _, _ in photos], dtype=np.int64),
        groups=tuple(group for _, _, group in photos),
        splits=("train",) * n,
        sha256=tuple(f"{c:064x}" if c < 5 else f"{1000 + row:064x}" for row, (_, c, _) in enumerate(photos)),
        sizes=np.ones((n, 2), dtype=np.int32),
    )


def single(counts: list[int]) -> DatasetIndex:
    return index_of([(k, 9, "") for k, count in enumerate(counts) for _ in range(count)])


def every(index: DatasetIndex) -> np.ndarray:
    return np.arange(len(index))


@settings(max_examples=60, deadline=None)
@given(PHOTOS, st.integers(2, 6), st.integers(0, 3))
def test_what_belongs_together_is_in_one_fold(photos, k, seed):
    index = index_of(photos)
    found = folds(index, every(index), k, seed)
    assert found.dtype == np.int64
    assert found.min() >= 0
    assert found.max() < k
    for names in (index.groups, index.sha256):
        for name in set(names) - {""}:
            assert len({int(fold) for fold, own in zip(found, names, strict=True) if own == name}) == 1


@settings(max_examples=60, deadline=None)
@given(PHOTOS, st.integers(0, 3), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_has_no_say(photos, seed, random):
    index = index_of(photos)
    rows = list(range(len(photos)))
    random.shuffle(rows)
    first = folds(index, every(index), 4, seed)
    again = folds(index, np.array(rows), 4, seed)
    assert again.tolist() == first[rows].tolist()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(5, 30), min_size=1, max_size=4), st.integers(2, 5))
def test_single_photos_are_spread_evenly_over_the_folds(counts, k):
    index = single(counts)
    found = folds(index, every(index), k, 0)
    for label in range(len(counts)):
        sizes = Counter(found[index.labels == label].tolist())
        assert max(sizes.values()) - min(sizes[fold] for fold in range(k)) <= 1
    sizes = Counter(found.tolist())
    assert max(sizes.values()) - min(sizes.values()) <= len(counts)


def test_class_shares_are_kept_with_groups_of_photos():
    rng = np.random.default_rng(0)
    photos = [(row % 2, 9, f"house {row // 4}") for row in range(200)]
    index = index_of([photos[row] for row in rng.permutation(200)])
    found = folds(index, every(index), 5, 1)
    for fold in range(5):
        assert (found == fold).sum() == 40
        assert index.labels[found == fold].sum() == 20


def test_rare_classes_make_fewer_folds():
    def count(counts: list[int]) -> int:
        index = single(counts)
        return len(set(folds(index, every(index), 5, 0).tolist()))

    assert count([20, 5]) == 5
    assert count([20, 3]) == 3
    assert count([20, 2]) == 2
    assert count([20, 1]) == 5  # one photo can be in one fold only, however many there are
    assert count([1, 1]) == 2


def test_only_the_given_rows_count():
    index = single([10, 10])
    rows = np.array([1, 3, 5, 7, 11, 13, 15, 17])
    found = folds(index, rows, 4, 0)
    assert len(found) == 8
    assert sorted(Counter(found.tolist()).values()) == [2, 2, 2, 2]


def test_the_seed_draws():
    index = single([15, 15])
    drawn = {tuple(folds(index, every(index), 5, seed).tolist()) for seed in range(4)}
    assert len(drawn) == 4


@pytest.mark.parametrize("labels", [("a", "b"), ("b", "a")])
def test_names_of_classes_have_no_say(labels):
    photos = [(row % 3 == 0, 9, f"house {row // 3}" if row < 18 else "") for row in range(40)]
    index = index_of([(int(k), c, g) for k, c, g in photos])
    turned = index_of([(1 - int(k), c, g) for k, c, g in photos])
    assert folds(index, every(index), 4, 2).tolist() == folds(turned, every(index), 4, 2).tolist()
