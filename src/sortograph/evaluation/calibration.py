"""Whether probabilities mean what they say: temperature, reliability, expected calibration error."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sortograph.evaluation.intervals import share
from sortograph.evaluation.search import golden_section
from sortograph.records import Estimate, PredictionTable, ReliabilityBin

BINS = 15
_RANGE = (math.log(0.05), math.log(20.0))  # of the logarithm of a temperature
_STEPS = 60
_DRAWS = 1000


def fitted_temperature(table: PredictionTable) -> float:
    """What the logits are divided by so that probabilities fit the photos of `table`; 0.05–20.

    Temperature scaling (Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017,
    arXiv:1706.04599, section 4.2): the least log loss. A log-normal prior around 1, whose weight is that of
    about one photo, keeps a few photos that are all right from asking for certainty. 1.0 without photos.

    >>> logits = np.array([[4, 0], [4, 0], [4, 0], [0, 4]], dtype=np.float32)
    >>> table = PredictionTable(np.arange(4), logits, np.array([0, 0, 1, 1]), ("a", "b"), "validation")
    >>> fitted_temperature(table) > 2
    True
    """
    if table.labels is None or len(table.rows) == 0:
        return 1.0
    logits = table.logits.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    own = logits[np.arange(len(logits)), table.labels]

    def loss(log_t: float) -> float:
        t = math.exp(log_t)
        return float((np.log(np.exp(logits / t).sum(axis=1)) - own / t).sum()) + log_t**2 / 2

    return math.exp(golden_section(loss, *_RANGE, _STEPS))


def reliability(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], level: float = 0.95
) -> tuple[ReliabilityBin, ...]:
    """Photos by the probability of their answer, in fifteenths; bins without photos are left out.

    confidence: float64 (N,), 0–1, of the most probable class; right: bool (N,), whether it is the true one
    """
    place = _places(confidence)
    found = []
    for k in np.unique(place).tolist():
        inside = place == k
        hits = share(int(right[inside].sum()), int(inside.sum()), level)
        found.append(ReliabilityBin(k / BINS, (k + 1) / BINS, float(confidence[inside].mean()), hits))
    return tuple(found)


def calibration_error(
    confidence: NDArray[np.float64],
    right: NDArray[np.bool_],
    units: int | None = None,
    level: float = 0.95,
) -> Estimate:
    """Expected calibration error of the answers, 0–1: |accuracy − confidence| of fifteen bins, by their
    photos.

    Naeini, Cooper, Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015,
    with bins of one width as in Guo et al. 2017. With few photos chance alone makes the value larger than the
    truth; so the interval is a bootstrap of 1,000 draws from a fixed generator reflected at the value
    (Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 5.2), and begins at 0 where a
    perfectly calibrated model would often have such a value. It is rough: it holds the truth in some 85 – 95
    %.

    units: how many photos or groups are drawn; None for N. Arguments else as in `reliability`.
    """
    place, n = _places(confidence), len(confidence)
    counts = np.bincount(place * 2 + right, minlength=2 * BINS).reshape(BINS, 2)
    sums = np.bincount(place, weights=confidence, minlength=BINS)
    means = sums / np.maximum(1, counts.sum(axis=1))

    def error(cells: NDArray[np.float64]) -> NDArray[np.float64]:
        inside = cells.sum(axis=-1)
        gaps: NDArray[np.float64] = np.abs(cells[..., 1] - means * inside).sum(axis=-1) / inside.sum(axis=-1)
        return gaps

    value = float(error(counts.astype(np.float64)))
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(units or n, (counts / n).ravel(), size=_DRAWS).reshape(_DRAWS, BINS, 2)
    q_low, q_high = np.quantile(error(drawn.astype(np.float64)), [(1 - level) / 2, (1 + level) / 2])
    low, high = max(0.0, 2 * value - float(q_high)), max(value, 2 * value - float(q_low))
    if value <= _by_chance(means, counts.sum(axis=1), units or n, level):
        low = 0.0
    return Estimate(value, min(value, low), high, level, n, "reflected bootstrap")


def _by_chance(means: NDArray[np.float64], inside: NDArray[np.int64], units: int, level: float) -> float:
    """What a perfectly calibrated model's error stays below in most draws, with bins as full as these."""
    rng = np.random.default_rng(1)
    sizes = rng.multinomial(units, inside / inside.sum(), size=_DRAWS)
    right = rng.binomial(sizes, np.clip(means, 0.0, 1.0))
    gaps = np.abs(right - means * sizes).sum(axis=1) / units
    return float(np.quantile(gaps, level))


def _places(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    places: NDArray[np.int64] = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    return places
