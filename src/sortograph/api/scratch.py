"""auto without pretrained weights: a network that is taught from scratch, for as long as there is time."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from sortograph.api.job import Job, Made
from sortograph.api.networks import NetworkMaker
from sortograph.api.timing import Diary, left, reserve
from sortograph.errors import counted
from sortograph.models import plan
from sortograph.recipe import Recipe, load_recipe
from sortograph.records import DatasetIndex, Progress

_OWN_SECTIONS = ("pixels", "augment", "train")  # of which it takes what a user sets


class FromScratch:
    """Without pretrained weights: the recipe "cnn", with as many epochs as the time allows."""

    def __init__(self, settings: Recipe, progress: Progress, why: str) -> None:
        cnn = load_recipe("cnn")
        own = {"name": settings.name, "about": settings.about, "data": settings.data, "split": settings.split}
        asked = {part: _with_own(getattr(cnn, part), getattr(settings, part)) for part in _OWN_SECTIONS}
        self._recipe = cnn.model_copy(update={**own, **asked})
        self._maker = NetworkMaker(self._recipe, progress)
        self._say = Diary(progress)
        self._say(f"no pretrained weights: {why}. A network is taught from scratch; weights would do better")
        self.pixels, self.keeper = self._maker.pixels, self._maker.keeper

    def flush(self) -> None:
        self._maker.flush()

    def check(self, index: DatasetIndex) -> None:
        self._maker.check(index)

    def within(self, index: DatasetIndex) -> DatasetIndex:
        return index

    def make(self, job: Job, checkpoint: object) -> Made:  # noqa: ARG002
        from sortograph.training.pace import seconds_per_epoch

        recipe = self._recipe
        layers = plan(recipe.model, job.pixels.spec.size, len(job.index.classes))
        epoch = seconds_per_epoch(recipe, layers, job.index, job.pixels)
        rest = left(job)
        fitting = max(1, min(recipe.train.epochs, int(rest / max(epoch, 1e-3))))
        if fitting < recipe.train.epochs:
            told = counted(fitting, "epoch")
            self._say(
                f"{told} of {epoch:.1f} s fit into the {rest:.0f} s that are left; the recipe has "
                f"{recipe.train.epochs}, which would take {recipe.train.epochs * epoch:.0f} s"
            )
            warm = min(recipe.train.warmup_epochs, fitting / 4)
            train = recipe.train.model_copy(update={"epochs": fitting, "warmup_epochs": warm})
            recipe = recipe.model_copy(update={"train": train})
        late = None
        if job.deadline is not None:  # one epoch is taught in any case: else nothing could be shipped
            late = max(job.deadline - reserve(job), time.monotonic() + 5 * epoch + 10)
        made = self._maker.make(replace(job, recipe=recipe, deadline=late), None)
        return replace(made, decisions=(*self._say.lines, *made.decisions))


def _with_own(section: Any, given: Any) -> Any:
    """A section with what the user has set in it."""
    return section.model_copy(update={name: getattr(given, name) for name in given.model_fields_set})
