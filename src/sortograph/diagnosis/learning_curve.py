"""How accuracy grows with the number of training photos, and what twice as many would bring.

Heads are taught anew with nested, stratified shares of the training photos, and judged on validation photos.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sortograph.diagnosis import words
from sortograph.evaluation.intervals import score_limits
from sortograph.records import CurvePoint, Estimate, LearningCurve, Progress, Step, silent

SHARES = (0.1, 0.2, 0.4, 0.7, 1.0)
SEEDS = 5
_SINCE = SHARES.index(0.4)  # from where the last step is measured
_LEVEL, _DRAWS = 0.95, 1000
_FEWEST = 5  # validation photos of a class of which something is said
Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CurveTask:
    """N photos that teach and M that judge.

    labels   int64 (N,) of the photos that teach; judged: int64 (M,) of those that judge
    answer   places int64 (n,) among the photos that teach → the classes that a head taught by them gives the
             photos that judge, int64 (M,)
    source   what embeds the photos, and which head is taught
    """

    labels: Rows
    judged: Rows
    classes: tuple[str, ...]
    answer: Callable[[Rows], Rows]
    source: str
    seed: int = 0
    progress: Progress = silent


def measure(task: CurveTask) -> LearningCurve:
    """The curve, with intervals for the choice of the photos on either side, and what follows from it."""
    counts = np.array([max(1, round(share * len(task.labels))) for share in SHARES])
    right = _right(task, counts)
    draws = _Draws(right, task.seed)
    everyone = np.ones(len(task.judged), dtype=np.bool_)
    exponent, doubling = _fitted(draws, counts, everyone)
    points = tuple(_point(task, k, int(counts[k]), right[k]) for k in range(len(SHARES)))
    last = _between(draws.accuracies(everyone), len(task.judged))
    return LearningCurve(
        source=task.source,
        points=points,
        exponent=exponent,
        doubling=doubling,
        last_step=last,
        classes=_classes(task, draws, counts),
        message=_message(task, points, doubling, last),
    )


def nested(labels: Rows, seed: int) -> Rows:
    """Places of all photos, int64 (N,), in an order of which every beginning has the shares of all classes.

    >>> labels = np.array([0, 0, 0, 0, 1, 1])
    >>> [sorted(labels[nested(labels, seed)[:3]].tolist()) for seed in range(3)]
    [[0, 0, 1], [0, 0, 1], [0, 0, 1]]
    """
    rng = np.random.default_rng([seed, len(labels)])
    key = np.empty(len(labels))
    for label in np.unique(labels):
        places = rng.permutation(np.flatnonzero(labels == label))
        # Photo k of n comes when a share of (k + ½) / n of all has come.
        key[places] = (np.arange(len(places)) + 0.5) / len(places)
    return np.lexsort((rng.random(len(labels)), key)).astype(np.int64)


def _right(task: CurveTask, counts: NDArray[np.int64]) -> list[Bools]:
    """For each share, bool (S, M): whether the heads of S seeds name the photos right."""
    total = (len(SHARES) - 1) * SEEDS + 1
    done, right = 0, []
    orders = [nested(task.labels, task.seed + number) for number in range(SEEDS)]
    for count in counts:
        taught = orders if count < len(task.labels) else orders[:1]  # all photos are the same photos
        rows = []
        for order in taught:
            rows.append(task.answer(np.sort(order[:count])) == task.judged)
            done += 1
            task.progress(Step("learning curve", min(done, total), total, "heads"))
        right.append(np.stack(rows))
    return right


def _point(task: CurveTask, k: int, count: int, right: Bools) -> CurvePoint:
    recalls = {
        name: float(right[:, task.judged == label].mean())
        for label, name in enumerate(task.classes)
        if (task.judged == label).any()
    }
    return CurvePoint(SHARES[k], count, len(right), _mean(right), recalls)


def _mean(right: Bools) -> Estimate:
    """Accuracy over the seeds: Wilson's interval for as many photos as vary like photos and seeds do."""
    seeds, photos = right.shape
    value = float(right.mean())
    variance = float(right.mean(axis=0).var()) / photos
    if seeds > 1:
        variance += float(right.mean(axis=1).var(ddof=1)) / seeds
    effective = min(float(photos), value * (1 - value) / variance) if variance > 0 else float(photos)
    low, high = score_limits(value, effective, _LEVEL)
    return Estimate(value, low, high, _LEVEL, photos, f"wilson, {seeds} seeds")


class _Draws:
    """The measured values first, then bootstrap draws of the photos that judge and of the seeds."""

    def __init__(self, right: list[Bools], seed: int) -> None:
        rng = np.random.default_rng([seed, _DRAWS])
        photos = right[0].shape[1]
        drawn = rng.multinomial(photos, np.full(photos, 1 / photos), size=_DRAWS)
        self.weights = np.concatenate([np.ones((1, photos)), drawn]).astype(np.float64)
        self.shares: list[Floats] = []
        for rows in right:
            chosen = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=_DRAWS)
            seeds = np.concatenate([np.ones((1, len(rows))), chosen]) / len(rows)
            self.shares.append(seeds @ rows)

    def accuracies(self, some: Bools) -> Floats:
        """Of these photos, float64 (1 + draws, shares); where a draw has none of them, the measured value."""
        weights = self.weights[:, some]
        totals = weights.sum(axis=1)
        means = [(share[:, some] * weights).sum(axis=1) / np.maximum(totals, 1) for share in self.shares]
        found = np.stack(means, axis=1)
        found[totals == 0] = found[0]
        return found


def _fitted(draws: _Draws, counts: NDArray[np.int64], some: Bools) -> tuple[float, Estimate]:
    """The exponent b of error = a · photos ** −b, and what twice the photos add, with its interval.

    Least squares of logarithms, all shares alike, in every draw. Half an error is added where there is none.
    """
    photos = int(some.sum())
    errors = np.maximum(1 - draws.accuracies(some), 0.5 / photos)
    x = np.log(counts) - np.log(counts).mean()
    slopes = (np.log(errors) * x).sum(axis=1) / max(float((x * x).sum()), 1e-12)
    fitted = np.exp(np.log(errors).mean(axis=1) + slopes * x[-1])
    gains = fitted * (1 - 2.0**slopes)
    return float(-slopes[0]), _estimate(gains, photos, "power law, bootstrap")


def _between(accuracies: Floats, photos: int) -> Estimate:
    return _estimate(accuracies[:, -1] - accuracies[:, _SINCE], photos, "bootstrap")


def _estimate(values: Floats, photos: int, method: str) -> Estimate:
    """The first value, with the quantiles of all others."""
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(values[1:], [tail, 1 - tail])
    value = float(values[0])
    return Estimate(value, min(value, float(low)), max(value, float(high)), _LEVEL, photos, method)


def _classes(task: CurveTask, draws: _Draws, counts: NDArray[np.int64]) -> dict[str, Estimate]:
    found = {
        name: _fitted(draws, counts, task.judged == label)[1]
        for label, name in enumerate(task.classes)
        if int((task.judged == label).sum()) >= _FEWEST
    }
    return dict(sorted(found.items(), key=lambda pair: -pair[1].value))


def _message(task: CurveTask, points: tuple[CurvePoint, ...], doubling: Estimate, last: Estimate) -> str:
    first, all_ = points[_SINCE], points[-1]
    sure = ""
    if doubling.low <= 0:
        sure = ", which may be nothing,"
    elif last.low <= 0:
        sure = ", if its last rise is not chance,"
    return (
        f"twice as many training photos would add about {words.points(doubling)}{sure} to "
        f"{words.share(all_.accuracy, 'validation photos')}, by {task.source}: from {first.photos} to "
        f"{all_.photos} photos it gained {words.points(last)}"
    )
