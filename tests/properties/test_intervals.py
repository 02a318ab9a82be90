"""What holds for every interval, whatever the counts are."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sortograph.evaluation import difference, judge, mcnemar_exact, paired_difference, wilson
from sortograph.evaluation.intervals import f1_score
from sortograph.records import PredictionTable

# Time limits per example would fail on a busy machine, not on a wrong interval.
untimed = settings(deadline=None)

levels = st.floats(0.5, 0.999)
counts = st.integers(0, 400)
shares = st.tuples(counts, counts).filter(any)
labels = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)
pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80)


@untimed
@given(counts=shares, level=levels)
def test_a_share_lies_in_its_interval(counts: tuple[int, int], level: float) -> None:
    right, wrong = counts
    for estimate in (wilson(right, right + wrong, level), f1_score(right, wrong, level)):
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
        assert estimate.low < estimate.high


@untimed
@given(counts=shares, factor=st.integers(2, 50))
def test_more_photos_with_the_same_share_narrow_it(counts: tuple[int, int], factor: int) -> None:
    right, wrong = counts
    few, many = wilson(right, right + wrong), wilson(factor * right, factor * (right + wrong))
    assert many.high - many.low < few.high - few.low
    few, many = f1_score(right, wrong), f1_score(factor * right, factor * wrong)
    assert many.high - many.low < few.high - few.low


@untimed
@given(counts=shares, level=levels)
def test_a_share_and_its_complement_mirror_each_other(counts: tuple[int, int], level: float) -> None:
    right, wrong = counts
    here, there = wilson(right, right + wrong, level), wilson(wrong, right + wrong, level)
    assert abs(here.low - (1 - there.high)) < 1e-12


@untimed
@given(photos=labels, level=levels)
def test_every_figure_of_a_split_lies_in_its_interval(photos: list[tuple[int, int]], level: float) -> None:
    truth, predicted = (np.array(column, dtype=np.int64) for column in zip(*photos, strict=True))
    logits = np.eye(5, dtype=np.float32)[predicted]
    result = judge(PredictionTable(np.arange(len(truth)), logits, truth, tuple("abcde"), "test"), level=level)
    for name, estimate in result.metrics.items():
        assert 0 <= estimate.low <= estimate.value <= estimate.high
        assert estimate.high <= 1 or name in ("log_loss", "brier")
    for score in result.per_class:
        for estimate in (score.precision, score.recall, score.f1):
            assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert sum(score.support for score in result.per_class) == len(truth)


@untimed
@given(one=shares, other=shares, level=levels, factor=st.integers(2, 20))
def test_a_difference_of_two_shares_lies_in_its_interval(
    one: tuple[int, int], other: tuple[int, int], level: float, factor: int
) -> None:
    a, b = (wilson(right, right + wrong, level) for right, wrong in (one, other))
    estimate, mirrored = difference(a, b), difference(b, a)
    assert -1 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert (mirrored.low, mirrored.high) == (-estimate.high, -estimate.low)
    more = difference(*(wilson(factor * r, factor * (r + w), level) for r, w in (one, other)))
    assert more.high - more.low < estimate.high - estimate.low


@untimed
@given(photos=pairs, level=levels, factor=st.integers(2, 20))
def test_a_paired_difference_lies_in_its_interval(
    photos: list[tuple[bool, bool]], level: float, factor: int
) -> None:
    a, b = (np.array(column, dtype=np.bool_) for column in zip(*photos, strict=True))
    estimate = paired_difference(a, b, level)
    assert -1 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert abs(estimate.value - (b.mean() - a.mean())) < 1e-12
    more = paired_difference(np.tile(a, factor), np.tile(b, factor), level)
    assert more.high - more.low < estimate.high - estimate.low
    assert 0 <= mcnemar_exact(a, b) <= 1
    assert mcnemar_exact(a, b) == mcnemar_exact(b, a)
