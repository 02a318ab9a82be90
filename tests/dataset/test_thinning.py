"""Which photos are taken where there is no time for all."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sortograph.dataset.thinning import (
    as_thinned,
    at_least,
    judging_order,
    teaching_order,
    thinned,
    thinning_notes,
)
from sortograph.records import DatasetIndex

SIZES = {"train": (100, 20, 2), "validation": (40, 15, 1), "test": (200, 80, 0)}


def made(names: str = "") -> DatasetIndex:
    rows = [
        (split, k, n) for split, sizes in SIZES.items() for k, size in enumerate(sizes) for n in range(size)
    ]
    return DatasetIndex(
        root=Path("photos"),
        classes=("a", "b", "c"),
        paths=tuple(f"{names}{split}/{k}/{n}.png" for split, k, n in rows),
        labels=np.array([k for _, k, _ in rows], dtype=np.int64),
        groups=("",) * len(rows),
        splits=tuple(split for split, _, _ in rows),
        sha256=tuple(f"{split}{k}{n}" for split, k, n in rows),
        sizes=np.ones((len(rows), 2), dtype=np.int32),
        notes=("first",),
    )


@pytest.mark.parametrize("count", [3, 7, 30, 50])
def test_whatever_number_teaches_classes_are_as_even_as_they_can_be(count):
    index = made()
    taken = Counter(index.labels[teaching_order(index, 0)[:count]].tolist())
    for label, size in enumerate(SIZES["train"]):
        assert taken[label] >= min(size, max(taken.values()) - 1)


@pytest.mark.parametrize("count", [70, 100, 200])
def test_whatever_number_judges_classes_and_splits_keep_their_shares(count):
    index = made()
    order = judging_order(index, 0)[:count]
    of_test = [row for row in order if index.splits[row] == "test"]
    assert len(of_test) >= 30
    shares = Counter(index.labels[of_test].tolist())
    assert shares[0] / len(of_test) == pytest.approx(200 / 280, abs=0.03)


def test_the_draw_knows_contents_and_seed_alone():
    index, renamed = made(), made("other/")
    assert teaching_order(index, 1).tolist() == teaching_order(renamed, 1).tolist()
    assert teaching_order(index, 1).tolist() != teaching_order(index, 2).tolist()
    assert sorted(judging_order(index, 1).tolist()) == [*index.rows("validation"), *index.rows("test")]


def test_some_photos_of_every_kind_come_in_any_case():
    index = made()
    few = index[np.sort(at_least(index, teaching_order(index, 0), judging_order(index, 0)))]
    counts = {split: Counter(few.labels[few.rows(split)].tolist()) for split in SIZES}
    assert counts["train"] == {0: 34, 1: 20, 2: 2}
    assert [counts[split].total() for split in ("validation", "test")] == [30, 30]


def test_notes_say_how_many_are_left():
    index = made()
    some = thinned(
        index, [*teaching_order(index, 0)[:30], *index.rows("validation"), *index.rows("test")[:50]]
    )
    assert some.notes[0] == "first"
    assert len(thinning_notes(some)) == 2
    taught, judged = thinning_notes(some)
    assert taught.startswith("trained on 30 of 122 training photos since the budget ended")
    assert taught.endswith("at most 14 of each class")
    assert judged.startswith("judged on 50 of 280 test photos since the budget ended")


def test_leaks_are_counted_among_those_that_are_left():
    index = made()
    copies = list(index.sha256)
    test, train = index.rows("test"), index.rows("train")
    for row in test[:2]:
        copies[row] = copies[train[0]]
    from dataclasses import replace

    from sortograph.dataset import leak_notes

    index = replace(index, sha256=tuple(copies))
    index = replace(index, notes=leak_notes(index))
    assert "2 of 280 test photos" in index.notes[0]
    some = thinned(index, np.setdiff1d(np.arange(len(index)), test[1:100]))
    assert [note for note in some.notes if note.startswith("leak")] == list(leak_notes(some))
    assert "1 of 181 test photos" in leak_notes(some)[0]


def test_an_index_is_thinned_again_as_it_was():
    index = made()
    some = thinned(index, range(5, len(index)))
    assert as_thinned(index, some).fingerprint == some.fingerprint
    assert thinning_notes(as_thinned(index, some)) == thinning_notes(some)
    # Of other photos, or by a run that had all there were, nothing is left out.
    assert as_thinned(made("other/"), some).paths == made("other/").paths
    assert len(as_thinned(index, index[np.arange(5, len(index))])) == len(index)
