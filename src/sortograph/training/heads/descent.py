"""Multinomial logistic regressions, several at once, by L-BFGS.

Nocedal 1980, Mathematics of Computation 35; Nocedal & Wright 2006, "Numerical Optimization", algorithm 7.4.
Three things make it quick here. The matrices of all problems are one product with the photos. Logits are
linear in the weights, so a step of any length along a direction needs no further product. And the inverse
Hessian starts from its own diagonal, which is nearly all of it where components are uncorrelated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sortograph.training.heads.task import Floats, Rows

_MEMORY = 6  # pairs of steps and changes of the gradient
_TRIALS = 10  # lengths of a step
_TINY = 1e-30
# A step is long enough, and not too long, when the slope at its end is within these shares of that at its
# start (the curvature condition; the loss is convex, so that it falls along the way).
_LEFT, _BEYOND = 0.9, 0.5


@dataclass(frozen=True, slots=True)
class Problem:
    """N photos for K problems with C classes.

    design   float32 (N, P): components, the last column 1: its weights are the biases, free of penalty
    spread   float32 (P,): mean square of each column
    labels   int64 (N,)
    weights  float32 (N, K): what each photo counts in each problem; columns sum to 1
    penalty  of the squared weights, halved, beside the mean loss
    """

    design: Floats
    spread: Floats
    labels: Rows
    weights: Floats
    penalty: float


@dataclass(frozen=True, slots=True)
class Found:
    """theta (K, P, C) and the logits (N, K, C) of all photos; the steps that it took."""

    theta: Floats
    logits: Floats
    steps: int


def descend(problem: Problem, start: Floats, tolerance: float, late: Callable[[int], bool]) -> Found:
    """The weights with the least loss, from `start` (K, P, C).

    A problem ends when its next step promises no more than `tolerance` nats per photo, whatever the others
    do; all of them end when `late(steps)` says so.
    """
    return _Descent(problem, start).run(tolerance, late)


class _Descent:
    """Buffers, allocated once: fresh memory for every sum would cost more than the sums."""

    def __init__(self, problem: Problem, start: Floats) -> None:
        self.problem = problem
        self.photos = np.arange(len(problem.labels))
        self.problems, self.columns, self.classes = start.shape
        n, flat = len(problem.labels), self.columns * self.classes
        self.theta = start.reshape(self.problems, flat).astype(np.float32)
        self.wide = np.empty((self.columns, self.problems, self.classes), dtype=np.float32)
        self.logits, self.change, self.rest, self.counted = (
            np.empty((n, self.problems, self.classes), dtype=np.float32) for _ in range(4)
        )
        self.gradient, self.next, self.way, self.spare = (np.empty_like(self.theta) for _ in range(4))
        self.steps = np.zeros((_MEMORY, self.problems, flat), dtype=np.float32)
        self.turns = np.zeros_like(self.steps)
        self.inverse = np.zeros((_MEMORY, self.problems), dtype=np.float32)
        by_column = np.full(self.columns, problem.penalty, dtype=np.float32)
        by_column[-1] = 0
        self.penalty = np.repeat(by_column, self.classes)
        self.truth = (problem.labels[:, None] == np.arange(self.classes)).astype(np.float32)

    def run(self, tolerance: float, late: Callable[[int], bool]) -> Found:
        self._forward(self.theta, self.logits)
        self._residuals(np.zeros(self.problems, dtype=np.float32))
        self._gradient(self.gradient)
        done, open_ = 0, np.ones(self.problems, dtype=bool)
        while not late(done):
            self._direct(done)
            slope = np.vecdot(self.gradient, self.way).astype(np.float64)
            open_ &= -slope / 2 > tolerance
            if not open_.any():
                break
            self._forward(self.way, self.change)
            length = self._length(slope, open_)
            self._step(length, done)
            done += 1
        return Found(self._theta(self.theta), self.logits, done)

    def _theta(self, flat: Floats) -> Floats:
        return flat.reshape(self.problems, self.columns, self.classes)

    def _forward(self, theta: Floats, out: Floats) -> None:
        """Logits of all photos in all problems."""
        np.copyto(self.wide, self._theta(theta).transpose(1, 0, 2))
        wide = self.wide.reshape(self.columns, -1)
        np.matmul(self.problem.design, wide, out=out.reshape(len(self.photos), -1))

    def _residuals(self, length: Floats) -> None:
        """Probabilities less the truth at `length` along the way, and the same times the photos' weights."""
        if length.any():
            np.multiply(self.change, length[None, :, None], out=self.rest)
            self.rest += self.logits
        else:
            np.copyto(self.rest, self.logits)
        self.rest -= self.rest.max(axis=2, keepdims=True)
        np.exp(self.rest, out=self.rest)
        self.rest /= self.rest.sum(axis=2, keepdims=True)
        self.rest[self.photos, :, self.problem.labels] -= 1
        np.multiply(self.rest, self.problem.weights[:, :, None], out=self.counted)

    def _gradient(self, out: Floats) -> None:
        counted = self.counted.reshape(len(self.photos), -1)
        np.matmul(self.problem.design.T, counted, out=self.wide.reshape(self.columns, -1))
        np.multiply(self.theta, self.penalty, out=out)
        self._theta(out)[...] += self.wide.transpose(1, 0, 2)

    def _curvature(self) -> Floats:
        """The diagonal of the Hessian, (K, P·C), as if each photo's p(1 − p) were the mean over photos."""
        sums = self.counted.sum(axis=0) - np.einsum("nkc,nkc->kc", self.counted, self.rest)
        own = self.counted[self.photos, :, self.problem.labels]  # (N, K), of each photo's own class
        mean = np.maximum(sums - 2 * (own.T @ self.truth), 0)
        made = (self.problem.spread[None, :, None] * mean[:, None, :]).reshape(self.problems, -1)
        made += self.penalty
        made += np.float32(1e-9)  # a class that is all but ruled out has no curvature left
        return np.asarray(made)

    def _direct(self, done: int) -> None:
        """`way`: minus the inverse Hessian, as far as it is known, times the gradient."""
        diagonal, way, spare = self._curvature(), self.way, self.spare
        recent = [number % _MEMORY for number in range(max(0, done - _MEMORY), done)]
        shares = {}
        np.negative(self.gradient, out=way)
        for slot in reversed(recent):
            shares[slot] = self.inverse[slot] * np.vecdot(self.steps[slot], way)
            way -= np.multiply(self.turns[slot], shares[slot][:, None], out=spare)
        way /= diagonal
        if recent:
            way *= self._scale(recent[-1], diagonal)[:, None]
        for slot in recent:
            share = shares[slot] - self.inverse[slot] * np.vecdot(self.turns[slot], way)
            way += np.multiply(self.steps[slot], share[:, None], out=spare)

    def _scale(self, slot: int, diagonal: Floats) -> Floats:
        """What the last step tells of the size of the Hessian (Nocedal & Wright, equation 7.20)."""
        bent = np.vecdot(np.divide(self.turns[slot], diagonal, out=self.spare), self.turns[slot])
        known = self.inverse[slot] * bent
        return np.where(known > 0, 1 / np.maximum(known, np.float32(_TINY)), 1).astype(np.float32)

    def _length(self, slope: np.ndarray, open_: np.ndarray) -> Floats:
        """How far to go in each problem, by the secant of the slope; 0 where a problem is done."""
        weighed = np.multiply(self.way, self.penalty, out=self.spare)
        linear, square = np.vecdot(weighed, self.theta), np.vecdot(weighed, self.way)
        length = open_.astype(np.float32)
        for trial in range(_TRIALS):
            self._residuals(length)
            now = np.einsum("nkc,nkc->k", self.counted, self.change) + linear + length * square
            wrong = open_ & ((now > -_BEYOND * slope) | (now < _LEFT * slope))
            if not wrong.any() or trial == _TRIALS - 1:
                break
            secant = length * slope / np.minimum(slope - now, -_TINY)
            length = np.where(wrong, np.clip(secant, 0.1 * length, 4 * length), length).astype(np.float32)
        return length

    def _step(self, length: Floats, done: int) -> None:
        slot = done % _MEMORY
        step = np.multiply(self.way, length[:, None], out=self.steps[slot])
        self.theta += step
        self.change *= length[None, :, None]
        self.logits += self.change
        self._gradient(self.next)
        turn = np.subtract(self.next, self.gradient, out=self.turns[slot])
        self.gradient, self.next = self.next, self.gradient
        bend = np.vecdot(step, turn)
        self.inverse[slot] = np.where(bend > _TINY, 1 / np.maximum(bend, np.float32(_TINY)), 0)
