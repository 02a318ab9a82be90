"""Networks from scratch: the recipe's layers, taught epoch by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sortograph.api.job import Job, Made, Rows
from sortograph.dataset.halves import halved
from sortograph.dataset.reading import Keeper
from sortograph.errors import DataError
from sortograph.lazy import importing
from sortograph.loading.pixels import PhotoPixels
from sortograph.models import plan
from sortograph.recipe import Recipe
from sortograph.records import DatasetIndex, Progress, Said

if TYPE_CHECKING:
    from sortograph.training.checkpoint import Checkpoint


class NetworkMaker:
    """Teaches the layers that [model] asks for. Raises RecipeError for what cannot be built."""

    def __init__(self, settings: Recipe, progress: Progress) -> None:
        spec = settings.pixels.spec()
        plan(settings.model, spec.size, 2)
        self._settings = settings
        self.pixels = PhotoPixels(spec, 1 + settings.augment.zoom, progress)

    @property
    def keeper(self) -> Keeper:
        return self.pixels

    def flush(self) -> None:
        self.pixels.flush()

    def check(self, index: DatasetIndex) -> None:
        check_labels(self._settings, index)
        plan(self._settings.model, self.pixels.spec.size, len(index.classes))

    def within(self, index: DatasetIndex) -> DatasetIndex:
        return index

    def make(self, job: Job, checkpoint: Checkpoint | None) -> Made:
        """Raises GateError when the loss is no number, StorageError when a checkpoint cannot be written."""
        with importing(early=True):
            from sortograph.export import to_onnx
            from sortograph.training.fit import fit, reference
            from sortograph.training.loop import Phase, Task

        seen, chose = watched(job)
        layers = plan(job.recipe.model, job.pixels.spec.size, len(job.index.classes))
        task = Task(
            job.recipe,
            job.index,
            job.pixels,
            job.folder / "checkpoints",
            job.stop,
            job.progress,
            job.deadline,
            Phase(job.recipe.train, "train", seen),
        )
        fitted, about = fit(task, layers, checkpoint)
        weights = {name: np.ascontiguousarray(value.numpy()) for name, value in fitted.weights.items()}
        return Made(
            recipe=job.recipe,
            graph=to_onnx(layers, job.pixels.spec, weights),
            weights=weights,
            reference=reference(layers, job.pixels.spec, fitted.weights),
            pixels=job.pixels,
            history=fitted.history,
            best_epoch=fitted.best_epoch,
            interrupted=fitted.interrupted,
            about=about,
            chose=chose,
        )


def watched(job: Job) -> tuple[Rows, Rows]:
    """Rows of the validation photos that are looked at after each epoch, and of those that choose something.

    Where an epoch, its end or the learning rate is chosen, or split.reserve keeps photos that choose among
    runs, half of them are left for calibration; all choose where there are too few to halve.
    """
    train, rows = job.recipe.train, job.index.rows("validation")
    chooses = train.keep == "best" or train.early_stopping or train.schedule == "plateau"
    if not (chooses or job.recipe.split.reserve) or not len(rows):
        return rows, rows[:0]
    select, calibrate = halved(job.index, rows, job.recipe.split.seed)
    if not len(select):
        return rows, rows
    what = "choose the epoch" if chooses else "are kept to choose among runs"
    left = f"{len(calibrate)} are left for calibration"
    job.progress(Said(f"validation is halved: {len(select)} photos {what}, {left}"))
    return select, select


def check_labels(settings: Recipe, index: DatasetIndex) -> None:
    """What only the photos can tell about [train]. Raises DataError."""
    if settings.train.early_stopping and not len(index.rows("validation")):
        raise DataError(
            "early stopping watches the validation photos, and there are none",
            where=str(index.root),
            expected="some validation photos",
            fix="--set split.validation=0.15, or --set train.early_stopping=0",
        )
    count = len(index.classes)
    if settings.train.labels == "binary" and count != 2:
        raise DataError(
            f'{count} classes and labels = "binary"',
            where=str(index.root),
            expected="two classes",
            fix="--set train.labels=int",
        )
