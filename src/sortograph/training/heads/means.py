"""The class whose mean is the nearest."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sortograph.evaluation.search import golden_section
from sortograph.models.head import linear_plan
from sortograph.models.plan import OUTPUT
from sortograph.training.heads.balance import log_shares
from sortograph.training.heads.basis import Basis, pareto
from sortograph.training.heads.scores import log_loss
from sortograph.training.heads.task import Floats, HeadTask, Rows, Taught, Tried

NAME = "nearest-mean"
_SHARPEST, _FLATTEST = 1e2, 1e-6  # of 1 / (2 s²)
_HALVINGS = 40


def tries(task: HeadTask) -> Iterator[Tried]:
    """One head, linear discriminant analysis with one variance s² for all directions of all classes.

    Its logits are ln p(class) − ‖x − mean‖² / (2s²) for scaled embeddings (Hastie, Tibshirani &
    Friedman 2009, "The Elements of Statistical Learning", equation 4.10); without ‖x‖², which all classes
    share, they are linear in x. s² is the one with the least out-of-fold log loss.
    """
    began = time.monotonic()
    plain = pareto(task.views, task.blocks)
    closeness, shares = _out_of_fold(task, plain)
    sharpness = _best_sharpness(closeness, shares, task.labels)
    logits = (sharpness * closeness + shares).astype(np.float32)

    def refit() -> Taught:
        return _taught(task, plain, sharpness)

    yield Tried(NAME, {}, logits, time.monotonic() - began, refit)


def _out_of_fold(task: HeadTask, plain: Basis) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """2 x·mean − ‖mean‖² and ln p(class), each (N, C), by means of the other folds."""
    everything, photos = plain.scaled(task.views), plain.scaled(task.plain)
    labels, folds = task.per_view(task.labels), task.per_view(task.folds)
    sums = [
        _sums(everything[folds == fold], labels[folds == fold], task.classes) for fold in range(task.parts)
    ]
    closeness, shares = np.empty((2, len(task.labels), task.classes))
    total = np.sum([part for part, _ in sums], axis=0)
    counts = np.sum([part for _, part in sums], axis=0)
    for fold, (own, held) in enumerate(sums):
        chosen = task.folds == fold
        means = (total - own) / np.maximum(counts - held, 1)[:, None]
        closeness[chosen] = _closeness(photos[chosen], means)
        shares[chosen] = log_shares(task.labels[~chosen], task.classes)
    return closeness, shares


def _sums(x: Floats, labels: Rows, classes: int) -> tuple[NDArray[np.float64], Rows]:
    """Sums of the embeddings of each class, (C, D), and how many there are, (C,)."""
    truth = (labels[:, None] == np.arange(classes)).astype(np.float32)
    return (truth.T @ x).astype(np.float64), np.bincount(labels, minlength=classes)


def _closeness(x: Floats, means: NDArray[np.float64]) -> NDArray[np.float64]:
    products = x @ means.T.astype(np.float32)
    return np.asarray(2.0 * products - (means**2).sum(axis=1))


def _best_sharpness(closeness: NDArray[np.float64], shares: NDArray[np.float64], labels: Rows) -> float:
    """1 / (2s²) with the least log loss, which is convex in it: by golden sections of its logarithm."""

    def loss(at: float) -> float:
        return log_loss((math.exp(at) * closeness + shares).astype(np.float32), labels)

    low, high = math.log(_FLATTEST), math.log(_SHARPEST)
    return math.exp(golden_section(loss, low, high, _HALVINGS))


def _taught(task: HeadTask, plain: Basis, sharpness: float) -> Taught:
    sums, counts = _sums(plain.scaled(task.views), task.per_view(task.labels), task.classes)
    means = sums / np.maximum(counts, 1)[:, None]
    bias = log_shares(task.labels, task.classes) - sharpness * (means**2).sum(axis=1)
    weight, moved = plain.unfolded((2 * sharpness * means.T).astype(np.float32), bias.astype(np.float32))
    state = {f"{OUTPUT}.weight": weight, f"{OUTPUT}.bias": moved}
    return Taught(linear_plan(task.inputs, task.classes), state)
