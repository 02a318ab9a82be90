"""The photos that are most alike vote."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import numpy as np

from sortograph.models.head import HeadPlan, neighbours_plan, unit_vectors, vote
from sortograph.models.plan import OUTPUT
from sortograph.training.heads.task import Floats, HeadTask, Rows, Taught, Tried

NAME = "neighbours"
MOST_PHOTOS = 10_000
"""Above that many photos a ladder leaves neighbours out: their time grows with the square of the photos."""

_CHUNK = 1 << 24  # numbers at once


def tries(task: HeadTask) -> Iterator[Tried]:
    """Every number of neighbours of the recipe, the largest first; augmented views have no vote.

    Raises RecipeError where a model could not remember so many photos.
    """
    began = time.monotonic()
    counts = sorted(set(task.settings.neighbours), reverse=True)
    plans = [neighbours_plan(task.inputs, task.classes, k, len(task.labels)) for k in counts]
    likeness, rows = _out_of_fold(task, counts[0])
    for k, plan in zip(counts, plans, strict=True):
        logits = _votes(likeness[:, :k], task.labels[rows[:, :k]], task.classes)
        seconds = time.monotonic() - began
        yield Tried(NAME, {"neighbours": k}, logits, seconds, partial(_taught, task, plan))
        began = time.monotonic()


def _out_of_fold(task: HeadTask, k: int) -> tuple[Floats, Rows]:
    """Likeness to the `k` most alike photos of other folds, the best first, and their rows; each (N, k).

    Where there are fewer, likeness −∞ fills up: such a vote weighs nothing.
    """
    likeness = np.full((len(task.labels), k), -np.inf, dtype=np.float32)
    rows = np.zeros(likeness.shape, dtype=np.int64)
    for fold in range(task.parts):
        own, others = np.flatnonzero(task.folds == fold), np.flatnonzero(task.folds != fold)
        if not len(others):
            likeness[own, 0] = 0
            continue
        centre = task.plain[others].mean(axis=0)
        known = unit_vectors(task.plain[others], centre)
        most = min(k, len(others))
        for part in _chunks(own, len(others)):
            all_of_them = unit_vectors(task.plain[part], centre) @ known.T
            best = np.argpartition(-all_of_them, most - 1, axis=1)[:, :most]
            values = np.take_along_axis(all_of_them, best, axis=1)
            order = np.argsort(-values, axis=1, kind="stable")
            likeness[part, :most] = np.take_along_axis(values, order, axis=1)
            rows[part, :most] = others[np.take_along_axis(best, order, axis=1)]
    return likeness, rows


def _chunks(rows: Rows, width: int) -> list[Rows]:
    size = max(1, _CHUNK // max(1, width))
    return [rows[first : first + size] for first in range(0, len(rows), size)]


def _votes(likeness: Floats, labels: Rows, classes: int) -> Floats:
    truth = np.eye(classes, dtype=np.float32)
    logits = np.empty((len(likeness), classes), dtype=np.float32)
    for part in _chunks(np.arange(len(likeness)), labels.shape[1] * classes):
        logits[part] = vote(likeness[part], truth[labels[part]])
    return logits


def _taught(task: HeadTask, plan: HeadPlan) -> Taught:
    centre = task.plain.mean(axis=0)
    state = {
        f"{OUTPUT}.features": unit_vectors(task.plain, centre),
        f"{OUTPUT}.labels": np.eye(task.classes, dtype=np.float32)[task.labels],
        f"{OUTPUT}.centre": centre,
    }
    return Taught(plan, state)
