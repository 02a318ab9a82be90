"""What is asked of heads, what one of them answers, and what comes out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sortograph.models.head import HeadPlan, State
from sortograph.recipe import Head, Train
from sortograph.records import EpochRow, Progress, Rung, silent

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class HeadTask:
    """Embeddings of N training photos, and what shall be made of them.

    features    float32 (N, D), or (V + 1, N, D): the photos as they are, then V augmented views of each;
                judged is the first of them only
    labels      int64 (N,) within 0 … classes − 1; a class may have no photo
    folds       int64 (N,): the part of the cross-validation in which a photo judges
    validation  features (M, D) and labels of photos that choose the epoch of "mlp"; None for none
    blocks      how many of the D numbers are of each backbone; () where all are of one
    stop, deadline  whether Ctrl-C was pressed; a reading of time.monotonic in seconds. Either ends the search
                early: what was tried until then is compared, and the best of it is kept
    """

    features: Floats
    labels: Rows
    classes: int
    folds: Rows
    settings: Head
    train: Train
    validation: tuple[Floats, Rows] | None = None
    blocks: tuple[int, ...] = ()
    progress: Progress = silent
    stop: Callable[[], bool] = lambda: False
    deadline: float | None = None

    @property
    def plain(self) -> Floats:
        """The photos as they are, (N, D)."""
        return self.features if self.features.ndim == 2 else self.features[0]

    @property
    def views(self) -> Floats:
        """All views of all photos, ((V + 1) · N, D): the photos as they are, then view after view."""
        return self.features.reshape(-1, self.inputs)

    @property
    def inputs(self) -> int:
        """D, the length of an embedding."""
        return int(self.features.shape[-1])

    @property
    def parts(self) -> int:
        """How many folds there are."""
        return int(self.folds.max()) + 1 if len(self.folds) else 0

    def per_view(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values of the photos, (N,), as those of `views`."""
        return np.tile(values, len(self.views) // max(1, len(self.labels)))

    def late(self) -> bool:
        return self.stop() or (self.deadline is not None and time.monotonic() >= self.deadline)


@dataclass(frozen=True, slots=True)
class Taught:
    """A head that all training photos have taught; history and best epoch where there were epochs."""

    plan: HeadPlan
    state: State
    history: tuple[EpochRow, ...] = ()
    best_epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Tried:
    """A head in cross-validation: each photo's logits, float32 (N, C), are of a head that it did not teach.

    refit: teaches the same head with all photos
    """

    name: str
    settings: Mapping[str, Any]
    logits: Floats
    seconds: float
    refit: Callable[[], Taught]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The head that is kept.

    rungs    all that were tried, the kept one first, then the better before the worse
    logits   its out-of-fold logits, float32 (N, C); None where nothing was compared
    history, best_epoch  of "mlp", else empty and None
    seconds  that choosing and teaching took
    """

    plan: HeadPlan
    state: State
    rungs: tuple[Rung, ...]
    logits: Floats | None = None
    history: tuple[EpochRow, ...] = ()
    best_epoch: int | None = None
    seconds: float = 0.0
    interrupted: bool = field(default=False)

    @property
    def kind(self) -> str:
        return self.rungs[0].name
