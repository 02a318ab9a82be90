"""What the steps of one training run hand to each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sortograph.loading.pixels import PhotoPixels
from sortograph.recipe import Recipe
from sortograph.records import DatasetIndex, EpochRow, Progress, RunRecord

if TYPE_CHECKING:
    from sortograph.dataset.reading import Keeper
    from sortograph.records.heads import Rung
    from sortograph.training.checkpoint import Checkpoint

Rows = NDArray[np.int64]
Logits = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Source:
    """What the user gave: a folder or a CSV file, and a folder of corrections."""

    photos: Path
    corrections: Path | None = None

    @property
    def words(self) -> tuple[str | Path, ...]:
        """As a command line has them."""
        return (self.photos, *(() if self.corrections is None else ("--corrections", self.corrections)))


@dataclass(frozen=True, slots=True)
class Job:
    """One run, once its photos are known.

    began, deadline: readings of time.monotonic, in seconds
    stop: whether Ctrl-C was pressed
    """

    recipe: Recipe
    index: DatasetIndex
    pixels: PhotoPixels
    folder: Path
    began: float
    progress: Progress
    source: Source
    stop: Callable[[], bool] = lambda: False
    deadline: float | None = None

    @property
    def left(self) -> float:
        """Seconds until the deadline, infinite without one."""
        return float("inf") if self.deadline is None else self.deadline - time.monotonic()


@dataclass(frozen=True, slots=True)
class Made:
    """A model that was taught, before it is judged.

    recipe     what it was taught by, with all that was decided on the way
    graph      an ONNX model that a bundle may hold
    weights    what weights.safetensors holds
    reference  photos uint8 (N, H, W, 3) → logits (N, C), computed another way than the graph does
    pixels     of the size that the graph takes
    known, embedded  rows → logits and embeddings, where they are known already; else the graph is asked
    chose      rows of the validation photos that chose something: they may not calibrate
    about      where and how it was computed, for environment.json
    decisions  what was decided and why, a sentence each
    rungs      the heads that were tried
    tolerance  how far a probability of the graph may be from that of what was taught
    scored     whether it may be judged: nothing is told of how good a frozen random network is
    """

    recipe: Recipe
    graph: bytes
    weights: Mapping[str, NDArray[Any]]
    reference: Callable[[NDArray[np.uint8]], Logits]
    pixels: PhotoPixels
    known: Callable[[Rows], Logits] | None = None
    embedded: Callable[[Rows], Logits] | None = None
    chose: Rows = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    history: tuple[EpochRow, ...] = ()
    best_epoch: int | None = None
    interrupted: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""
    decisions: tuple[str, ...] = ()
    rungs: tuple[Rung, ...] = ()
    tolerance: float = 1e-4
    scored: bool = True

    def told(self, record: RunRecord) -> RunRecord:
        """The record of the run with what is known of the model now."""
        from dataclasses import replace

        return replace(
            record,
            recipe=self.recipe.to_dict(),
            environment={**record.environment, **self.about},
            history=self.history,
            best_epoch=self.best_epoch,
            decisions=self.decisions,
            rungs=self.rungs,
        )


class Maker(Protocol):
    """One way from a recipe to a model. Made before photos are read: what cannot work is refused then."""

    @property
    def pixels(self) -> PhotoPixels:
        """Of the size that the model takes."""

    @property
    def keeper(self) -> Keeper:
        """What is kept of each photo while it is read."""

    def flush(self) -> None:
        """Ends what is kept of photos once all are read."""

    def check(self, index: DatasetIndex) -> None:
        """Raises where these photos cannot be trained on by this recipe."""

    def within(self, index: DatasetIndex) -> DatasetIndex:
        """The photos that there is time for: all of them, or fewer, which the notes of the index say."""

    def make(self, job: Job, checkpoint: Checkpoint | None) -> Made: ...
