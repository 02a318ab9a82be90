"""Logistic regression with an L2 penalty: a path of penalties, in all folds at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sortograph.cores import cores
from sortograph.models.head import linear_plan
from sortograph.models.plan import OUTPUT
from sortograph.training.heads.alone import alone
from sortograph.training.heads.balance import photo_weights, prior
from sortograph.training.heads.basis import Basis, basis
from sortograph.training.heads.descent import Problem, descend
from sortograph.training.heads.task import Floats, HeadTask, Rows, Taught, Tried

NAME = "logistic"
# Nats per photo that one more step may still promise.
_LOOSE, _TIGHT = 3e-5, 1e-8
_MOST_STEPS, _LEAST_STEPS = 300, 10
# Multiplications of one product: below, all folds are one problem; above, several threads share a product.
_SMALL, _LARGE = 1 << 27, 1 << 29
# Numbers that the logits of several folds may take together; beyond, one fold follows the other.
_TOGETHER = 1 << 25
_STRONGEST = 0.1  # penalty that every search begins with, or with that which is asked for
_AHEAD = 0.5  # of the last change, from one penalty to the next, is where the next search starts


def tries(task: HeadTask, balances: Sequence[str]) -> Iterator[Tried]:
    """Every penalty of the recipe, the strongest first, each from where the last one ended.

    The objective is Σ wᵢ · lossᵢ + penalty · ‖W‖² / 2 over scaled embeddings, weights wᵢ of photos
    summing to 1; biases are free. Means and deviations are those of all training photos. Ends early when the
    task is late, but not before the first.
    """
    turned = basis(task.views, task.blocks)
    ways = dict.fromkeys("class-weights" if one == "sampling" else one for one in balances)
    for number, balance in enumerate(ways):
        if number and task.late():
            return
        # In the mean over its draws, sampling is the same as weights: no need for both.
        told = balance if len(balances) > 1 or balance == "none" else balances[0]
        yield from _Path(task, turned, balance, told).tries()


def logistic(
    features: Floats, labels: Rows, classes: int, penalty: float, blocks: Sequence[int] = ()
) -> tuple[Floats, Floats]:
    """Weights (C, D) and bias (C,) of one regression on embeddings (N, D), all photos counting the same.

    blocks: as for `basis.pareto`
    """
    turned = basis(features, blocks)
    weights = np.ones((len(labels), 1)) / max(1, len(labels))
    problem = _problem(turned, features, labels, weights, penalty)
    start = np.zeros((1, problem.design.shape[1], classes), dtype=np.float32)
    with alone(len(problem.design) * start.size < _LARGE):
        for stronger in _towards(penalty):
            there = replace(problem, penalty=stronger)
            start = descend(there, start, _LOOSE, lambda steps: steps >= _MOST_STEPS).theta
        found = descend(problem, start, _TIGHT, lambda steps: steps >= _MOST_STEPS)
    return _unfolded(turned, found.theta[0])


def _towards(penalty: float) -> Iterator[float]:
    """Stronger penalties, to be solved on the way: from nothing, a weak one takes hundreds of steps.

    >>> [f"{step:g}" for step in _towards(0.005)]
    ['0.1', '0.0316228', '0.01']
    """
    step = _STRONGEST
    while step > 1.5 * penalty:
        yield step
        step /= 10**0.5


def _unfolded(turned: Basis, theta: Floats) -> tuple[Floats, Floats]:
    bias = theta[-1] - theta[-1].mean()  # the same added to all logits changes nothing
    return turned.unfolded(theta[:-1], bias)


def _problem(
    turned: Basis, features: Floats, labels: Rows, weights: NDArray[np.float64], penalty: float
) -> Problem:
    components = turned.components(features)
    design = np.empty((len(features), components.shape[1] + 1), dtype=np.float32)
    design[:, :-1], design[:, -1] = components, 1
    spread = np.append(turned.spread, np.float32(1))
    return Problem(design, spread, labels, weights.astype(np.float32), penalty)


@dataclass(frozen=True, slots=True)
class _Path:
    task: HeadTask
    turned: Basis
    balance: str
    told: str

    def tries(self) -> Iterator[Tried]:
        task, began = self.task, time.monotonic()
        problem = self._all_folds()
        shape = (task.parts, problem.design.shape[1], task.classes)
        here = np.zeros(shape, dtype=np.float32)
        before: Floats | None = None
        for stronger in _towards(max(task.settings.penalties)):
            _, here = self._one(problem, stronger, here)
            if task.late():
                break
        for number, penalty in enumerate(sorted(set(task.settings.penalties), reverse=True)):
            if number and task.late():
                return
            ahead = here if before is None else here + np.float32(_AHEAD) * (here - before)
            logits, found = self._one(problem, penalty, ahead)
            before, here = (here if number else None), found
            settings = {"penalty": penalty} | ({"balance": self.told} if self.told != "none" else {})
            refit = partial(self._refit, problem, penalty, found)
            yield Tried(NAME, settings, logits, time.monotonic() - began, refit)
            began = time.monotonic()

    def _all_folds(self) -> Problem:
        """Each fold a problem, in which its own photos count nothing."""
        task = self.task
        labels, weights = task.per_view(task.labels), np.zeros((len(task.views), task.parts))
        for fold in range(task.parts):
            taught = task.folds != fold
            some = photo_weights(task.labels[taught], self.balance, task.classes)
            column = np.zeros(len(task.labels))
            column[taught] = some / max(some.sum(), 1)
            weights[:, fold] = task.per_view(column) * len(task.labels) / len(task.views)
        return _problem(self.turned, task.views, labels, weights, 0.0)

    def _one(self, problem: Problem, penalty: float, start: Floats) -> tuple[Floats, Floats]:
        """Out-of-fold logits (N, C), and the weights of all folds."""
        task = self.task
        every = list(range(task.parts))
        small = len(problem.design) * start.size < _SMALL
        groups = [every] if small else [[fold] for fold in every]
        logits = np.empty((len(task.labels), task.classes), dtype=np.float32)
        theta = np.empty_like(start)

        def solve(some: list[int]) -> None:
            part = replace(problem, weights=problem.weights[:, some], penalty=penalty)
            found = descend(part, start[some], _LOOSE, self._is_over)
            theta[some] = found.theta
            for place, fold in enumerate(some):
                own = task.folds == fold
                shift = prior(task.labels[~own], self.balance, task.classes)
                logits[own] = found.logits[: len(own)][own, place] + shift

        # Threads of our own: they rest while they wait, and share all of the work, not the products alone.
        with alone(True), ThreadPoolExecutor(self._workers(len(problem.labels))) as pool:
            list(pool.map(solve, groups))
        return logits, theta

    def _workers(self, photos: int) -> int:
        task = self.task
        most = max(1, _TOGETHER // max(1, photos * task.classes))
        return min(task.train.threads or cores(), task.parts, most)

    def _refit(self, problem: Problem, penalty: float, theta: Floats) -> Taught:
        """All photos; from the mean of the folds, which is near."""
        task = self.task
        some = task.per_view(photo_weights(task.labels, self.balance, task.classes))
        weights = (some / max(some.sum(), 1)).astype(np.float32)[:, None]
        whole = replace(problem, weights=weights, penalty=penalty)
        start = theta.mean(axis=0, keepdims=True)
        with alone(len(whole.design) * start.size < _LARGE):
            found = descend(whole, start, _TIGHT, self._is_over)
        weight, bias = _unfolded(self.turned, found.theta[0])
        shift = prior(task.labels, self.balance, task.classes)
        state = {f"{OUTPUT}.weight": weight, f"{OUTPUT}.bias": (bias + shift).astype(np.float32)}
        return Taught(linear_plan(task.inputs, task.classes), state)

    def _is_over(self, steps: int) -> bool:
        return steps >= _MOST_STEPS or (steps >= _LEAST_STEPS and self.task.late())
