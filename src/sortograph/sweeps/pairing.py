"""Is one configuration better than another? On the same photos, over seeds, with how sure it is.

A bootstrap (Efron 1979, Annals of Statistics 7) draws photos with replacement, groups and near duplicates as
a whole, the same ones for both sides, seeds averaged in each photo; and it draws seeds of each configuration
for itself, since a seed means nothing across configurations. From S seeds, S draws have S − 1 parts in S of
their variance, and few seeds tell little of how much seeds differ: deviations of seeds from their mean are
widened by √(S / (S − 1)) (the rescaling of Rao and Wu 1988, JASA 83, 231–241) and by Student's quantile over
the normal one. Without the latter, intervals of three seeds that differ much leave out the truth twice as
often as they say.

Where few photos differ, a bootstrap knows only those few and is too sure. So an interval is never narrower
than Newcombe's for pairs, of the answers that most seeds give; and p is never below that of the permutation
test which gives the difference of each photo, or group, either sign (Fisher, The Design of Experiments,
1935, section 21; for two runs that is McNemar's exact test).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from sortograph.errors import RunError
from sortograph.evaluation.intervals import paired_difference
from sortograph.records import Estimate
from sortograph.sweeps.answers import Answers, held_out

RESAMPLES = 4000
METHOD = "bootstrap over photos, groups as a whole, and seeds; never narrower than Newcombe's paired interval"
_SEED = 20_240_501
_ROOM = 1 << 22  # draws of photos at once
_COUNTED = 12  # photos that differ, up to which all ways of giving them signs are counted
_NOTHING = 1e-12
Side = Sequence[Mapping[str, Answers]]
Draws = NDArray[np.float64]
Votes = NDArray[np.bool_]
Parts = Sequence[tuple[Mapping[str, Answers], float]]


@dataclass(frozen=True, slots=True)
class Difference:
    """Above 0 where the first side is better; p is two-sided."""

    estimate: Estimate
    p: float
    split: str
    seeds: int


def difference(
    better: Side,
    worse: Side,
    measure: str = "accuracy",
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Difference:
    """Mean accuracy of the configurations of one side minus that of the other, on photos held out; of "gap",
    train − held out, how much smaller it is. Either is within −1–1, or −2–2.

    The interval of the answers that most seeds of a side give is the narrowest that there may be. Training
    photos that differ are no pairs, and are left to the bootstrap.

    The same answers always give the same interval. Raises RunError for sides judged on other photos.

    >>> a, b = np.array([[1, 1, 1, 0.0]]), np.array([[1, 0, 1, 0.0]])
    >>> sides = ([{"test": Answers(tuple("abcd"), x)}] for x in (a, b))
    >>> found = difference(*sides)
    >>> found.estimate.value, round(found.estimate.low, 2), found.p, found.split
    (0.25, -0.32, 1.0, 'test')
    """
    every = [*better, *worse]
    split = held_out(every[0])
    signs = {split: 1.0, "train": -1.0} if measure == "gap" else {split: 1.0}
    _check(every, split)
    value = _plain(better, signs) - _plain(worse, signs)
    draws = _draws(better, worse, signs, level, resamples)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    down, up = _least(_votes(better, worse, signs), level)
    p = max(_p_value(draws), _flipped(better, worse, signs, resamples))
    most, n = float(len(signs)), len(every[0][split].paths)
    ends = max(-most, min(value - down, float(low))), min(most, max(value + up, float(high)))
    seeds = min(len(one[split].right) for one in every)
    return Difference(Estimate(value, *ends, level, n, METHOD), p, split, seeds)


def _p_value(draws: Draws) -> float:
    """Two-sided, from how many draws lie on the other side of 0; never 0 itself."""
    tail = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return float(min(1.0, 2 * (tail + 1) / (len(draws) + 1)))


def _flipped(better: Side, worse: Side, signs: Mapping[str, float], resamples: int) -> float:
    """Two-sided p where the difference of each photo may as well have the other sign.

    Few photos: all ways are counted; else as many as `resamples`, drawn. 0 where training photos differ.
    """
    photos = _by_photo(_parts(better, worse), signs)
    if len(photos) > len(signs):
        return 0.0
    values = np.concatenate([sums / counts.sum() for sums, counts in photos])
    values = values[np.abs(values) > _NOTHING]
    observed = abs(values.sum()) - _NOTHING
    if len(values) <= _COUNTED:
        ways = np.array(list(product((-1.0, 1.0), repeat=len(values))))
        return float((np.abs(ways @ values) >= observed).mean())
    rng = np.random.default_rng(_SEED)
    blocks = _blocks(len(values), resamples)
    drawn = (rng.integers(0, 2, (block, len(values)), dtype=np.int8) * 2 - 1 for block in blocks)
    beyond = sum(int((np.abs(some @ values) >= observed).sum()) for some in drawn)
    return (beyond + 1) / (resamples + 1)


def _votes(better: Side, worse: Side, signs: Mapping[str, float]) -> list[tuple[float, Votes, Votes]]:
    """Sign, answers of worse and of better, of each split whose photos all have in common."""
    every = [*better, *worse]
    shared = [split for split in signs if len({one[split].paths for one in every}) == 1]
    return [(signs[split], _vote(worse, split), _vote(better, split)) for split in shared]


def _vote(side: Side, split: str) -> Votes:
    """What most runs say of each photo, bool (N,); the first one decides a draw."""
    right = np.concatenate([one[split].right for one in side])
    share = right.mean(axis=0)
    return np.asarray(np.where(share == 0.5, right[0] > 0.5, share > 0.5))


def _least(votes: Sequence[tuple[float, Votes, Votes]], level: float) -> tuple[float, float]:
    """How far an interval reaches down and up at least.

    Splits have no photos in common, so the squares of their reaches add up.
    """
    down = up = 0.0
    for sign, worse, better in votes:
        found = paired_difference(worse, better, level)
        below, above = found.value - found.low, found.high - found.value
        down = math.hypot(down, below if sign > 0 else above)
        up = math.hypot(up, above if sign > 0 else below)
    return down, up


def _check(every: Side, split: str) -> None:
    if not split or any(held_out(one) != split or one[split].paths != every[0][split].paths for one in every):
        raise RunError(
            "the runs were judged on other photos",
            expected="the same held-out photos for all runs of a sweep",
            fix="begin a new sweep with another --out",
        )


def _plain(side: Side, signs: Mapping[str, float]) -> float:
    parts = [sign * one[split].right.mean() for one in side for split, sign in signs.items()]
    return float(np.sum(parts)) / len(side)


def _draws(better: Side, worse: Side, signs: Mapping[str, float], level: float, resamples: int) -> Draws:
    """Differences of resampled sides, float64 (resamples,)."""
    rng = np.random.default_rng(_SEED)
    parts = _parts(better, worse)
    made = np.zeros(resamples)
    for sums, counts in _by_photo(parts, signs):
        made += _resampled(rng, sums, counts, resamples)
    reach = _reach(sum(_seeds(one, signs) - 1 for one, _ in parts), level)
    for one, share in parts:
        effects = share * reach * _seed_effects(one, signs)
        made += _resampled(rng, effects, np.ones(len(effects)), resamples)
    return made


def _parts(better: Side, worse: Side) -> Parts:
    return [(one, share / len(side)) for side, share in ((better, 1.0), (worse, -1.0)) for one in side]


def _by_photo(parts: Parts, signs: Mapping[str, float]) -> list[tuple[Draws, Draws]]:
    """What each photo, or each group of them, adds to the difference, and how many photos it has.

    One pair of arrays for each set of photos that some have in common.
    """
    found: dict[tuple[str, tuple[str, ...]], tuple[Draws, tuple[int, ...]]] = {}
    for one, share in parts:
        for split, sign in signs.items():
            key, units = (split, one[split].paths), one[split].units
            added = share * sign * one[split].right.mean(axis=0)
            found[key] = (found[key][0] + added if key in found else added, units)
    return [_in_units(values, units) for values, units in found.values()]


def _in_units(values: Draws, units: tuple[int, ...]) -> tuple[Draws, Draws]:
    if not units:
        return values, np.ones(len(values))
    _, places = np.unique(units, return_inverse=True)
    return np.bincount(places, values).astype(np.float64), np.bincount(places).astype(np.float64)


def _seeds(one: Mapping[str, Answers], signs: Mapping[str, float]) -> int:
    return len(one[next(iter(signs))].right)


def _seed_effects(one: Mapping[str, Answers], signs: Mapping[str, float]) -> Draws:
    """By how much each seed differs from the mean of all, (S,), widened for a draw of S of them."""
    seeds = _seeds(one, signs)
    means = np.sum([sign * one[split].right.mean(axis=1) for split, sign in signs.items()], axis=0)
    return np.asarray((means - means.mean()) * math.sqrt(seeds / max(1, seeds - 1)))


def _reach(degrees: int, level: float) -> float:
    """Student's quantile over the normal one; 1 without any degrees of freedom: there is nothing to widen."""
    from scipy.special import ndtri, stdtrit

    share = (1 + level) / 2
    return float(stdtrit(degrees, share) / ndtri(share)) if degrees else 1.0


def _resampled(rng: np.random.Generator, sums: Draws, counts: Draws, resamples: int) -> Draws:
    """Means over photos of as many units, drawn with replacement: float64 (resamples,)."""
    n = len(sums)
    drawn = (rng.multinomial(n, np.full(n, 1 / n), size=block) for block in _blocks(n, resamples))
    return np.concatenate([(times @ sums) / (times @ counts) for times in drawn])


def _blocks(n: int, resamples: int) -> list[int]:
    """How many draws of n to hold at once, until there are `resamples`."""
    at_once = max(1, _ROOM // n)
    return [min(at_once, resamples - first) for first in range(0, resamples, at_once)]
