"""What holds for every cut, whatever the photos, classes, groups and fractions are."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sortograph.dataset import SplitPlan, cut
from sortograph.dataset.quotas import quotas
from sortograph.records import DatasetIndex

# Time limits per example would fail on a busy machine, not on a wrong cut.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

Photo = tuple[int, int, int]  # label, group (0 for none), content (0 for its own)

singles = st.lists(st.tuples(st.integers(0, 4), st.just(0), st.just(0)), min_size=1, max_size=80)
photos = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 12), st.one_of(st.just(0), st.integers(1, 25))),
    min_size=1,
    max_size=60,
)
plans = st.builds(
    SplitPlan,
    seed=st.integers(0, 2**31),
    validation=st.sampled_from([0.0, 0.1, 0.15, 0.2, 0.33]),
    test=st.sampled_from([0.0, 0.1, 0.15, 0.25, 0.5]),
)


def make_index(rows: list[Photo], splits: list[str] | None = None) -> DatasetIndex:
    contents = [f"c{content}" if content else f"own{k}" for k, (_, _, content) in enumerate(rows)]
    return DatasetIndex(
        root=Path("photos"),
        classes=("a", "b", "c", "d", "e", "f"),
        paths=tuple(f"{k}.jpg" for k in range(len(rows))),
        labels=np.array([label for label, _, _ in rows], dtype=np.int64),
        groups=tuple(f"g{group}" if group else "" for _, group, _ in rows),
        splits=tuple(splits or [""] * len(rows)),
        sha256=tuple(hashlib.sha256(content.encode()).hexdigest() for content in contents),
        sizes=np.ones((len(rows), 2), dtype=np.int32),
    )


@given(rows=singles, plan=plans)
def test_single_photos_meet_their_quotas_exactly(rows: list[Photo], plan: SplitPlan) -> None:
    index = cut(make_index(rows), plan)
    sizes = Counter(label for label, _, _ in rows)
    labels = sorted(sizes)
    expected = quotas([sizes[k] for k in labels], {"test": plan.test, "validation": plan.validation})
    held = Counter(zip(index.splits, index.labels.tolist(), strict=True))
    assert {split: [held[split, k] for k in labels] for split in expected} == expected
    assert set(index.splits) <= set(expected)


@given(rows=photos, plan=plans)
def test_groups_and_contents_are_never_divided(rows: list[Photo], plan: SplitPlan) -> None:
    index = cut(make_index(rows), plan)
    places: dict[str, set[str]] = {}
    for group, content, split in zip(index.groups, index.sha256, index.splits, strict=True):
        places.setdefault(content, set()).add(split)
        if group:
            places.setdefault(group, set()).add(split)
    assert all(len(splits) == 1 for splits in places.values())


@given(rows=photos, plan=plans)
def test_every_photo_is_in_one_of_the_planned_splits(rows: list[Photo], plan: SplitPlan) -> None:
    index = cut(make_index(rows), plan)
    planned = {"train"} | {split for split in ("validation", "test") if getattr(plan, split) > 0}
    assert set(index.splits) <= planned
    assert sum(len(index.rows(split)) for split in planned) == len(rows)
    assert len(index.rows("train")) > 0


@given(rows=photos, plan=plans, data=st.data())
def test_the_order_of_the_photos_does_not_matter(
    rows: list[Photo], plan: SplitPlan, data: st.DataObject
) -> None:
    index = make_index(rows)
    order = np.array(data.draw(st.permutations(range(len(rows)))), dtype=np.int64)
    straight = cut(index, plan)
    shuffled = cut(index[order], plan)
    assert dict(zip(shuffled.paths, shuffled.splits, strict=True)) == dict(
        zip(straight.paths, straight.splits, strict=True)
    )


@given(rows=photos, plan=plans, data=st.data())
def test_the_order_of_the_classes_does_not_matter(
    rows: list[Photo], plan: SplitPlan, data: st.DataObject
) -> None:
    index = make_index(rows)
    order = data.draw(st.permutations(range(len(index.classes))))
    place = np.argsort(np.array(order))
    renumbered = replace(
        index,
        classes=tuple(index.classes[k] for k in order),
        labels=place[index.labels].astype(np.int64),
    )
    assert cut(renumbered, plan).splits == cut(index, plan).splits


@given(rows=singles, extra=st.integers(1, 40), plan=plans)
def test_another_class_moves_at_most_the_edge_of_the_draw(
    rows: list[Photo], extra: int, plan: SplitPlan
) -> None:
    before = cut(make_index(rows), plan)
    after = cut(make_index(rows + [(5, 0, 0)] * extra), plan)
    for k in range(5):
        old, new = (
            {row for row in range(len(rows)) if index.labels[row] == k and index.splits[row] == "test"}
            for index in (before, after)
        )
        assert old <= new or new <= old
        assert abs(len(old) - len(new)) <= 2


@given(rows=photos, seed=st.integers(0, 9), fraction=st.sampled_from([0.1, 0.3, 0.5]))
def test_test_and_validation_alone_draw_the_same_photos(
    rows: list[Photo], seed: int, fraction: float
) -> None:
    index = make_index(rows)
    test = cut(index, SplitPlan(seed, validation=0, test=fraction))
    validation = cut(index, SplitPlan(seed, validation=fraction, test=0))
    assert test.rows("test").tolist() == validation.rows("validation").tolist()


@given(
    rows=photos,
    plan=plans,
    splits=st.lists(st.sampled_from(["train", "train", "test"]), min_size=60, max_size=60),
)
def test_given_splits_never_change_sides(rows: list[Photo], plan: SplitPlan, splits: list[str]) -> None:
    before = make_index(rows, ["train", *splits[1 : len(rows)]])
    after = cut(before, plan)
    for old, new in zip(before.splits, after.splits, strict=True):
        assert new == old or (old, new) == ("train", "validation") or "test" not in before.splits
    if "test" in before.splits:
        assert after.rows("test").tolist() == before.rows("test").tolist()


@given(
    rows=photos,
    plan=plans,
    present=st.sampled_from(["validation", "test"]),
    elsewhere=st.lists(st.booleans(), min_size=60, max_size=60),
)
def test_what_is_cut_shares_nothing_with_any_other_split(
    rows: list[Photo], plan: SplitPlan, present: str, elsewhere: list[bool]
) -> None:
    splits = [present if there else "train" for there in elsewhere]
    before = make_index(rows, ["train", *splits[1 : len(rows)]])
    after = cut(before, plan)
    places: dict[str, set[str]] = {}
    for group, content, split in zip(after.groups, after.sha256, after.splits, strict=True):
        places.setdefault(content, set()).add(split)
        places.setdefault(group or content, set()).add(split)
    made = set(after.splits) - set(before.splits)
    assert all(len(found) == 1 for found in places.values() if found & made)


@settings(max_examples=50)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=3, max_size=8),
    plan=plans.filter(lambda plan: plan.test > 0 and plan.validation > 0),
)
def test_a_class_of_three_groups_is_in_every_split(sizes: list[int], plan: SplitPlan) -> None:
    rows = [(0, number, 0) for number, size in enumerate(sizes, start=1) for _ in range(size)]
    assert set(cut(make_index(rows), plan).splits) == {"train", "validation", "test"}


@given(rows=photos, plan=plans, twins=st.lists(st.integers(0, 9), min_size=60, max_size=60))
def test_near_duplicates_are_never_divided(rows: list[Photo], plan: SplitPlan, twins: list[int]) -> None:
    names = tuple(f"{twin}.jpg" if twin else "" for twin in twins[: len(rows)])
    index = cut(replace(make_index(rows), twins=names), plan)
    places: dict[str, set[str]] = {}
    for name, split in zip(index.twins, index.splits, strict=True):
        places.setdefault(name, set()).add(split)
    places.pop("", None)
    assert all(len(splits) == 1 for splits in places.values())
    assert index.overlaps() == {}


@given(
    pairs=st.lists(st.integers(0, 8), min_size=1, max_size=4),
    alone=st.lists(st.integers(12, 30), min_size=4, max_size=4),
    plan=plans.filter(lambda plan: plan.validation + plan.test < 0.6),
)
def test_shares_of_classes_are_kept_to_one_photo_where_groups_allow(
    pairs: list[int], alone: list[int], plan: SplitPlan
) -> None:
    """Groups of two beside single photos: the single ones even out what pairs cannot."""
    rows: list[Photo] = []
    for label, count in enumerate(pairs):
        first = 1 + sum(pairs[:label])
        rows += [(label, first + number, 0) for number in range(count) for _ in range(2)]
        rows += [(label, 0, 0)] * alone[label]
    index = cut(make_index(rows), plan)
    sizes = [2 * count + alone[label] for label, count in enumerate(pairs)]
    wanted = quotas(sizes, {"test": plan.test, "validation": plan.validation})
    held = Counter(zip(index.splits, index.labels.tolist(), strict=True))
    for split, quota in wanted.items():
        for label, count in enumerate(quota):
            assert abs(held[split, label] - count) <= 1
