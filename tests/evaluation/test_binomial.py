"""Exact limits, and how often intervals hold the truth."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from sortograph.evaluation import share
from sortograph.evaluation.binomial import chance_of_at_most, exact_limits, upper_limit
from sortograph.evaluation.intervals import share_of

stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")

COUNTS, RATES = (30, 60, 168, 500), (0.6, 0.8, 0.9, 0.95, 0.99)


@pytest.mark.parametrize("n", [1, 7, 150, 70_000])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.93, 1.0])
@pytest.mark.parametrize("rate", [0.001, 0.3, 0.97])
def test_the_distribution_is_scipys(n: int, part: float, rate: float) -> None:
    count = round(part * n)
    assert chance_of_at_most(count, n, rate) == pytest.approx(stats.binom.cdf(count, n, rate), abs=1e-9)


@pytest.mark.parametrize(
    ("count", "n"), [(0, 1), (1, 1), (0, 149), (3, 40), (36, 40), (40, 40), (69_998, 70_000)]
)
def test_the_limits_are_those_of_the_beta_distribution(count: int, n: int) -> None:
    low, high = exact_limits(count, n, 0.95)
    assert low == pytest.approx(stats.beta.ppf(0.025, count, n - count + 1) if count else 0.0, abs=1e-9)
    assert high == pytest.approx(stats.beta.ppf(0.975, count + 1, n - count) if count < n else 1.0, abs=1e-9)


@pytest.mark.parametrize(
    ("count", "n", "alpha"), [(-1, 5, 0.05), (6, 5, 0.05), (0, 0, 0.05), (1, 5, 0.0), (1, 5, 1.0)]
)
def test_what_has_no_limit_is_refused(count: int, n: int, alpha: float) -> None:
    with pytest.raises(ValueError, match="no limit"):
        upper_limit(count, n, alpha)


def coverage(n: int, rate: float) -> float:
    """How often the interval of a share holds the rate, over all that n photos can show: no draws."""
    inside = (k for k in range(n + 1) if share(k, n).low <= rate <= share(k, n).high)
    return sum(comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in inside)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    found = {(n, rate): coverage(n, rate) for n in COUNTS for rate in RATES}
    enough = [held for (n, rate), held in found.items() if n * (1 - rate) >= 5]
    assert 0.94 <= np.mean(enough) <= 0.96
    assert min(found.values()) >= 0.93, found


def test_few_errors_have_the_exact_interval() -> None:
    assert [share(hits, 60).method for hits in (0, 4, 5, 55, 56, 60)] == [
        *("clopper-pearson", "clopper-pearson", "wilson", "wilson", "clopper-pearson", "clopper-pearson")
    ]


def test_photos_of_a_group_tell_less_than_strangers() -> None:
    random = np.random.default_rng(0)
    bursts = np.repeat(random.random(40) < 0.8, 5)  # all of a burst right, or none
    groups = np.repeat(np.arange(40), 5)
    alone, together = share_of(bursts, None), share_of(bursts, groups)
    assert together.value == alone.value
    assert together.high - together.low > 1.8 * (alone.high - alone.low)
    assert together.method == "wilson, 40 groups"
    assert share_of(bursts, np.arange(200)) == alone


def test_grouped_intervals_hold_the_truth() -> None:
    random = np.random.default_rng(1)
    groups = np.repeat(np.arange(60), 4)
    held = 0
    for _ in range(400):
        chance = random.beta(8, 2, size=60)  # bursts differ; the mean of all is 0.8
        found = share_of(random.random(240) < np.repeat(chance, 4), groups)
        held += found.low <= 0.8 <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_groups_that_are_all_right_count_once_each() -> None:
    right = np.ones(100, dtype=np.bool_)
    groups = np.repeat(np.arange(20), 5)
    assert share_of(right, groups).low == pytest.approx(0.839, abs=1e-3), "Wilson's for 20 of 20"
