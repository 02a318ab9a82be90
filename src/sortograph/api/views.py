"""Augmented views of training photos, for embeddings that are kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sortograph.api.job import Job, Rows
from sortograph.recipe import Recipe

Pixels = NDArray[np.uint8]
VERSION = 1
"""Rises when the same draws come to make other views: of what is kept under older keys, nothing is taken."""


def view_key(recipe: Recipe) -> str:
    """Names what views are made by: [augment] and the seed."""
    made_by = [VERSION, recipe.augment.model_dump(mode="json", exclude={"mixup"}), recipe.train.seed]
    return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:16]


def view_pixels(job: Job) -> Callable[[Rows, int], Pixels]:
    """(rows, number of the view from 1) → uint8 (n, H, W, 3).

    The draws of a view depend on its number, the content of the photo and the seed alone: the same photo has
    the same views in every folder.
    """
    import torch

    from sortograph.loading.augment import Augmenter
    from sortograph.loading.order import Purpose, generator

    augment = Augmenter(job.recipe.augment, job.pixels.spec.size)

    def drawn(row: int, view: int) -> NDArray[np.float32]:
        content = int(job.index.sha256[row][:8], 16)
        return generator(job.recipe.train.seed, Purpose.AUGMENT, view, content).random(8, dtype=np.float32)

    def pixels(rows: Rows, view: int) -> Pixels:
        photos = torch.from_numpy(job.pixels.training(job.index, rows))
        draws = torch.from_numpy(np.stack([drawn(int(row), view) for row in rows]))
        views = augment(photos, draws).permute(0, 2, 3, 1)
        return np.asarray(views.round().clamp(0, 255).byte().numpy())

    return pixels
