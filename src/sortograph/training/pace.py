"""How long an epoch will take here, by a few steps that are thrown away."""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path

import numpy as np

from sortograph.loading.pixels import PhotoPixels
from sortograph.models import Plan
from sortograph.recipe import Recipe
from sortograph.records import DatasetIndex, silent
from sortograph.training.fit import fit
from sortograph.training.loop import Task

_STEPS, _WARM = 8, 3
_VALIDATION = 0.4  # of the time that a step takes for a photo


def seconds_per_epoch(recipe: Recipe, plan: Plan, index: DatasetIndex, pixels: PhotoPixels) -> float:
    """Training and validation of one epoch. Raises GateError when the loss is no number."""
    times = [time.monotonic()]

    def enough() -> bool:
        times.append(time.monotonic())
        return len(times) > _STEPS

    with tempfile.TemporaryDirectory() as folder:
        fit(Task(recipe, index, pixels, Path(folder), enough, silent), plan)
    steps = np.diff(times)
    each = float(np.median(steps[_WARM:] if len(steps) > _WARM else steps))
    size = recipe.train.batch_size
    batches = math.ceil(len(index.rows("train")) / size)
    return each * (batches + _VALIDATION * len(index.rows("validation")) / size)
