"""Several models on the same photos: paired tests, their correction, and a choice by validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from sortograph.evaluation.intervals import mcnemar_exact, paired_difference, z_value
from sortograph.records import Choice, Estimate, Pair

_DRAWS = 4000
_SEED = 1979
_BY = ("gap", "size", "accuracy", "order")
Right = NDArray[np.bool_]


def compare_pairs(
    names: Sequence[str], right: Right, *, groups: Sequence[str] | None = None, level: float = 0.95
) -> tuple[Pair, ...]:
    """Every two of K models, in their order, with Holm's correction over all of the pairs.

    names: K names, which become `Pair.a` and `Pair.b`
    right: bool (K, N), whether each photo was named rightly, the photos in one order
    groups: N names; photos that share one are not independent of each other, "" is a group of its own.
        None where every photo is

    Without groups the interval is Newcombe's paired score interval and the test McNemar's exact one. With
    groups see `grouped_differences` and `swap_test`. Raises ValueError for fewer than two models, no photos,
    other shapes, or a level outside 0–1.
    """
    _check(right, len(names), groups)
    couples = list(combinations(range(len(names)), 2))
    differences = _differences(right, couples, groups, level)
    units = None if groups is None else group_numbers(groups)
    values = [
        mcnemar_exact(right[a], right[b]) if units is None else swap_test(right[a], right[b], units)
        for a, b in couples
    ]
    return tuple(
        Pair(
            a=names[a],
            b=names[b],
            test="mcnemar exact" if units is None else "exact swaps of groups",
            difference=difference,
            only_a=int((right[a] & ~right[b]).sum()),
            only_b=int((right[b] & ~right[a]).sum()),
            p=p,
            p_corrected=corrected,
            comparisons=len(couples),
        )
        for (a, b), difference, p, corrected in zip(couples, differences, values, holm(values), strict=True)
    )


def choose_run(
    right: Right,
    train: Sequence[float],
    sizes: Sequence[float],
    *,
    groups: Sequence[str] | None = None,
    level: float = 0.95,
) -> Choice:
    """Which of K models to take, by validation alone.

    right: bool (K, N) on the validation photos; train: K accuracies on training photos, 0–1
    sizes: K sizes of the models, in any one unit; groups: as `compare_pairs` has them

    Models whose paired interval of the difference to the most accurate one includes 0 are tied with it. Of
    these the one with the smallest gap between train and validation accuracy is chosen, to either side; then
    the smallest, the most accurate, the first. Raises ValueError for other shapes, or a level outside 0–1.
    """
    _check(right, len(train), groups, least=1)
    if len(sizes) != len(train):
        raise ValueError(f"{len(sizes)} sizes of {len(train)} models")
    accuracy = right.mean(axis=1)
    # Rounded, so that equal counts give equal gaps.
    merits = [
        (round(abs(float(taught) - float(share)), 12), float(size), -float(share), k)
        for k, (taught, share, size) in enumerate(zip(train, accuracy, sizes, strict=True))
    ]
    best = min(range(len(merits)), key=lambda k: (merits[k][2], merits[k]))
    others = [(best, k) for k in range(len(merits)) if k != best]
    found = _differences(right, others, groups, level)
    tied = [best, *(k for (_, k), to_best in zip(others, found, strict=True) if to_best.low <= 0)]
    ranked = sorted(tied, key=lambda k: merits[k])
    by = next((_apart(merits[a], merits[b]) for a, b in pairwise(ranked)), "alone")
    return Choice(best, tuple(sorted(tied)), ranked[0], by)


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected so that a family of tests errs once at most as often as one test may.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6
    (1979), 65–70; as adjusted p-values, in the order of `values`.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    count, corrected, highest = len(values), [0.0] * len(values), 0.0
    for rank, k in enumerate(sorted(range(count), key=lambda k: values[k])):
        highest = max(highest, min(1.0, (count - rank) * values[k]))
        corrected[k] = highest
    return corrected


def group_numbers(groups: Sequence[str]) -> NDArray[np.int64]:
    """Groups as numbers from 0, int64 (N,); each "" is a group of its own.

    >>> group_numbers(["w1", "", "w1", ""]).tolist()
    [0, 1, 0, 2]
    """
    known: dict[object, int] = {}
    keys = (name or k for k, name in enumerate(groups))
    return np.array([known.setdefault(key, len(known)) for key in keys], dtype=np.int64)


def swap_test(a_right: Right, b_right: Right, units: NDArray[np.int64]) -> float:
    """Two-sided p-value that a and b are alike, from swapping their answers within whole groups.

    a_right, b_right: bool (N,); units: int64 (N,), numbers of groups from 0

    Were a and b alike, in each group they could change places; the p-value is the share of all such swaps
    that set them at least as far apart as they are, counted exactly. Where each photo is a group of its own,
    this is McNemar's exact test. Fisher, The Design of Experiments (1935), section 21. Raises ValueError for
    no photos or unequal counts.
    """
    if len(a_right) == 0 or not len(a_right) == len(b_right) == len(units):
        raise ValueError(f"answers and groups of {len(a_right)}, {len(b_right)} and {len(units)} photos")
    ahead = np.bincount(units, weights=a_right.astype(float) - b_right)
    steps = np.abs(ahead[ahead != 0]).astype(np.int64)
    reach = int(steps.sum())
    chances = np.zeros(2 * reach + 1)
    chances[reach] = 1.0
    for step in steps.tolist():
        # Never over the end: what lies there has the chance 0 until all steps are done.
        chances = (np.roll(chances, step) + np.roll(chances, -step)) / 2
    apart = np.abs(np.arange(-reach, reach + 1)) >= abs(int(ahead.sum()))
    return min(1.0, float(chances[apart].sum()))


def grouped_differences(
    right: Right, couples: Sequence[tuple[int, int]], units: NDArray[np.int64], level: float = 0.95
) -> list[Estimate]:
    """Accuracy of a minus accuracy of b, for each (a, b) of `couples`, where photos come in groups.

    right: bool (K, N); units: int64 (N,), numbers of groups from 0

    Percentiles over 4,000 draws of whole groups with replacement, seeded, the same draws for every pair:
    Field and Welsh, "Bootstrapping clustered data", Journal of the Royal Statistical Society B 69 (2007),
    369–390.
    Never narrower than Newcombe's paired interval: resampling alone would give a point where all answers
    agree. Raises ValueError for no photos or a level outside 0–1.
    """
    z_value(level)
    count = int(units.max()) + 1 if len(units) else 0
    ahead = [
        np.bincount(units, weights=right[a].astype(float) - right[b], minlength=count) for a, b in couples
    ]
    sums, sizes = np.array(ahead).T.reshape(count, len(couples)), np.bincount(units).astype(float)
    drawn = np.empty((_DRAWS, len(couples)))
    random = np.random.default_rng(_SEED)
    for k in range(_DRAWS):
        times = np.bincount(random.integers(0, count, count), minlength=count).astype(float)
        drawn[k] = times @ sums / (times @ sizes)
    ends = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0).T
    method = f"bootstrap of {count} groups, at least newcombe paired score"
    return [
        _widened(paired_difference(right[b], right[a], level), float(low), float(high), method)
        for (a, b), (low, high) in zip(couples, ends, strict=True)
    ]


def _differences(
    right: Right, couples: Sequence[tuple[int, int]], groups: Sequence[str] | None, level: float
) -> list[Estimate]:
    if groups is None:
        return [paired_difference(right[b], right[a], level) for a, b in couples]
    return grouped_differences(right, couples, group_numbers(groups), level)


def _widened(estimate: Estimate, low: float, high: float, method: str) -> Estimate:
    return replace(estimate, low=min(low, estimate.low), high=max(high, estimate.high), method=method)


def _apart(first: tuple[float, ...], second: tuple[float, ...]) -> str:
    return next(name for name, one, other in zip(_BY, first, second, strict=True) if one != other)


def _check(right: Right, models: int, groups: Sequence[str] | None, least: int = 2) -> None:
    if right.ndim != 2 or len(right) != models or models < least or right.shape[1] == 0:
        raise ValueError(f"answers {right.shape} of {models} models, not ({least} or more, 1 or more)")
    if groups is not None and len(groups) != right.shape[1]:
        raise ValueError(f"{len(groups)} groups of {right.shape[1]} photos")
