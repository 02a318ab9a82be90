from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest

from sortograph.dataset import SplitPlan, cut, leak_notes
from sortograph.errors import DataError, UsageError
from sortograph.records import DatasetIndex


def make_index(
    labels: Sequence[int],
    groups: Sequence[str] | None = None,
    splits: Sequence[str] | None = None,
    contents: Sequence[str] | None = None,
) -> DatasetIndex:
    n = len(labels)
    return DatasetIndex(
        root=Path("photos"),
        classes=tuple("abcdefgh"[: max(labels) + 1]),
        paths=tuple(f"p/{k}.jpg" for k in range(n)),
        labels=np.array(labels, dtype=np.int64),
        groups=tuple(groups or [""] * n),
        splits=tuple(splits or [""] * n),
        sha256=tuple(contents or [f"{k:064x}" for k in range(n)]),
        sizes=np.full((n, 2), 9, dtype=np.int32),
    )


def totals(index: DatasetIndex) -> dict[str, int]:
    return {split: sum(counts.values()) for split, counts in index.counts().items()}


def test_nothing_given() -> None:
    index = cut(make_index([0] * 100 + [1] * 60), SplitPlan(7))
    assert index.counts() == {
        "train": {"a": 70, "b": 42},
        "validation": {"a": 15, "b": 9},
        "test": {"a": 15, "b": 9},
    }
    assert index.notes == (
        "test: 24 of 160 photos put aside (15 %, seed 7)",
        "validation: 24 of 160 photos put aside (15 %, seed 7)",
    )


def test_the_drawing_is_the_order_of_hashes() -> None:
    """Pinned: a change of the drawing would change every user's test split."""
    index = cut(make_index([0] * 10 + [1] * 10), SplitPlan(0, validation=0.2, test=0.2))
    assert "".join({"train": ".", "validation": "v", "test": "t"}[split] for split in index.splits) == (
        "....tt.v.v....tvv..t"
    )
    for rows in (range(10), range(10, 20)):
        drawn = sorted(
            rows, key=lambda k: hashlib.sha256(f"0:{index.sha256[k]}:{index.paths[k]}".encode()).digest()
        )
        assert [index.splits[k] for k in drawn] == ["test"] * 2 + ["validation"] * 2 + ["train"] * 6


def test_given_splits_stay() -> None:
    splits = ["train"] * 6 + ["validation"] * 3 + ["test"] * 3
    index = make_index([0, 1] * 6, splits=splits)
    assert cut(index, SplitPlan(1)).splits == tuple(splits)
    assert cut(index, SplitPlan(1)).notes == ()


@pytest.mark.parametrize(("given", "missing"), [("test", "validation"), ("validation", "test")])
def test_a_missing_split_comes_from_train_alone(given: str, missing: str) -> None:
    splits = ["train"] * 40 + [given] * 20
    index = cut(make_index([0, 1] * 30, splits=splits), SplitPlan(3, validation=0.25, test=0.25))
    assert index.splits[40:] == (given,) * 20
    assert totals(index) == {"train": 30, missing: 10, given: 20}
    assert index.notes == (f"{missing}: 10 of 40 photos of the train split put aside (25 %, seed 3)",)


def test_train_alone_is_cut_twice() -> None:
    index = cut(make_index([0, 1] * 20, splits=["train"] * 40), SplitPlan(3, validation=0.1, test=0.2))
    assert totals(index) == {"train": 28, "validation": 4, "test": 8}


def test_fraction_zero() -> None:
    index = make_index([0, 1] * 10)
    assert totals(cut(index, SplitPlan(0, validation=0, test=0))) == {"train": 20}
    assert totals(cut(index, SplitPlan(0, validation=0, test=0.2))) == {"train": 16, "test": 4}


def test_no_training_photos() -> None:
    with pytest.raises(DataError, match="no training photos, only test"):
        cut(make_index([0, 1], splits=["test", "test"]), SplitPlan(0))


@pytest.mark.parametrize(
    "fractions", [(0.5, 0.5), (-0.1, 0.2), (1.0, 0.0), (float("nan"), 0.1), (0.1, float("inf"))]
)
def test_impossible_plans(fractions: tuple[float, float]) -> None:
    with pytest.raises(UsageError):
        SplitPlan(0, *fractions)


def test_seeds_draw_different_photos() -> None:
    index = make_index([0] * 50 + [1] * 50)
    assert len({cut(index, SplitPlan(seed)).splits for seed in range(5)}) == 5


def test_groups_and_duplicates_stay_together() -> None:
    groups = [f"w{k // 5}" if k < 60 else "" for k in range(100)]
    contents = [f"{k - k % 2 if k >= 60 else k:064x}" for k in range(100)]
    index = cut(make_index([k % 2 for k in range(100)], groups, contents=contents), SplitPlan(0))
    for column in (index.groups, index.sha256):
        for key in set(column) - {""}:
            assert len({index.splits[row] for row in range(100) if column[row] == key}) == 1
    # Pairs cannot meet odd quotas to the photo.
    assert all(
        abs(totals(index)[split] - n) <= 1 for split, n in (("train", 70), ("validation", 15), ("test", 15))
    )


def test_groups_join_through_shared_contents() -> None:
    contents = [f"{k:064x}" for k in range(12)]
    contents[4] = contents[0]  # a photo of group g is also in group h
    groups = ["g", "g", "g", "", "h", "h", "h", *[""] * 5]
    for seed in range(20):
        index = cut(make_index([0] * 12, groups, contents=contents), SplitPlan(seed, 0.2, 0.2))
        assert len({index.splits[row] for row in (0, 1, 2, 4, 5, 6)}) == 1


def test_every_split_gets_the_class_where_its_groups_allow() -> None:
    groups = ["x"] * 8 + ["y"] * 2 + ["z"] * 2
    for seed in range(20):
        index = cut(make_index([0] * 12, groups), SplitPlan(seed, 0.1, 0.1))
        assert set(index.splits) == {"train", "validation", "test"}


def test_too_few_groups_are_told_and_train_comes_first() -> None:
    index = cut(make_index([0] * 6 + [1] * 20, ["only"] * 6 + [""] * 20), SplitPlan(0, 0.45, 0.45))
    assert index.counts()["train"]["a"] == 6
    assert "test: too few photos or groups to hold 'a'" in index.notes
    assert "validation: too few photos or groups to hold 'a'" in index.notes


def test_leaks_between_given_splits_are_told_not_mended() -> None:
    contents = [f"{k:064x}" for k in range(12)]
    contents[9] = contents[0]
    splits = ("train",) * 8 + ("test",) * 4
    groups = [*[""] * 7, "g", "g", "", "", ""]
    index = cut(make_index([0, 1] * 6, groups, splits, contents), SplitPlan(0, validation=0))
    assert index.splits == splits
    leaks = (
        "leak: 1 of 4 test photos is in train, too (the same content); scores on test are too good",
        "leak: 1 of 4 test photos is of a group that is in train, too; scores on test are too good",
    )
    assert index.notes[:2] == leaks == leak_notes(index)


@pytest.mark.parametrize(("given", "missing"), [("test", "validation"), ("validation", "test")])
@pytest.mark.parametrize("shared", ["content", "group"])
def test_what_is_shared_with_a_given_split_is_never_cut_off(given: str, missing: str, shared: str) -> None:
    """All but ten training photos are also in the given split: what is cut is of the ten."""
    labels, splits = [0, 1] * 50, ["train"] * 60 + [given] * 40
    twins = [f"{k - 60 if k >= 60 else k:064x}" for k in range(100)]
    groups = [f"g{int(twin, 16)}" for twin in twins] if shared == "group" else None
    alone = set(range(40, 60))
    for seed in range(5):
        index = make_index(labels, groups, splits, twins if shared == "content" else None)
        done = cut(index, SplitPlan(seed, validation=0.15, test=0.15))
        drawn = set(done.rows(missing).tolist())
        assert len(drawn) == 9
        assert drawn <= alone
        assert any(f"40 of 40 {given} photos are" in note for note in leak_notes(done))
        assert not any(missing in note for note in leak_notes(done))


def test_a_class_that_is_all_shared_with_a_given_split_stays_in_train() -> None:
    contents = [f"{k % 12:064x}" for k in range(24)]
    splits = ["train"] * 12 + ["validation"] * 12
    index = cut(make_index([0, 1] * 12, splits=splits, contents=contents), SplitPlan(0, test=0.3))
    assert index.splits == tuple(splits)
    assert "test: too few photos or groups to hold 'a', 'b'" in index.notes


def test_leaks_are_told_of_photos_that_were_in_no_split_yet() -> None:
    contents = [f"{k % 9:064x}" for k in range(12)]
    index = make_index([0, 1] * 6, splits=[""] * 9 + ["test"] * 3, contents=contents)
    assert leak_notes(index) == ()
    assert "leak: 3 of 3 test photos are in train, too" in "".join(cut(index, SplitPlan(0)).notes)


def test_splits_do_not_hang_on_how_a_system_spells_names() -> None:
    """macOS gives names taken apart (NFD), others as they were written (NFC)."""
    index = make_index([0, 1] * 40)
    spelled = {
        form: replace(index, paths=tuple(normalize(form, f"고양이/é{k}.jpg") for k in range(80)))
        for form in ("NFC", "NFD")
    }
    assert spelled["NFC"].paths != spelled["NFD"].paths
    for seed in range(3):
        composed, taken_apart = (cut(spelled[form], SplitPlan(seed)) for form in ("NFC", "NFD"))
        assert composed.splits == taken_apart.splits
        assert composed.fingerprint == taken_apart.fingerprint


def test_small_shares_are_told_as_they_are() -> None:
    index = cut(make_index([0] * 1000 + [1] * 1000), SplitPlan(0, validation=0, test=0.003))
    assert index.notes == ("test: 6 of 2000 photos put aside (0.3 %, seed 0)",)


def test_one_content_under_two_labels_is_told() -> None:
    contents = [f"{k // 2:064x}" for k in range(10)]
    index = cut(make_index([0, 1] * 5, contents=contents), SplitPlan(0))
    assert "5 photos under several labels: p/0.jpg = p/1.jpg, p/2.jpg = p/3.jpg" in index.notes[-1]
    assert index.notes[-1].endswith("and 2 more")


def test_earlier_notes_and_other_columns_stay() -> None:
    before = replace(make_index([0, 1] * 10), notes=("first",), ignored=3)
    after = cut(before, SplitPlan(0))
    assert after.notes[0] == "first"
    assert replace(after, splits=before.splits, notes=before.notes).fingerprint == before.fingerprint
    assert after.ignored == 3
