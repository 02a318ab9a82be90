"""auto: the best classifier that the photos, the machine and the time allow, step by step, with reasons.

First a head on the embeddings of the cheapest backbone that is at hand; its figure is told at once. Then what
promises most, one step after the other, as long as there is something to gain and time to do it. Every step
is chosen by cross-validation within the training photos; validation and test have no part in it, but for
fine-tuning, which the half of validation called "select" decides about.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sortograph.api.finetuning import finetuned
from sortograph.api.job import Job, Made, Maker
from sortograph.api.networks import NetworkMaker
from sortograph.api.opening import Opened, at_hand, is_exported, open_backbone
from sortograph.api.transfer import TransferMaker
from sortograph.errors import RecipeError, WeightsError, counted
from sortograph.loading.pixels import PhotoPixels
from sortograph.models import plan
from sortograph.models.aliases import ALIASES
from sortograph.recipe import Recipe, Train, load_recipe
from sortograph.records import DatasetIndex, FeatureTable, Progress, Said
from sortograph.training.heads import Chosen
from sortograph.training.heads.balance import is_uneven

_ALIASES = ("fast", "balanced", "best")
# Seconds that a backbone costs when it is used for the first time: with loading torch and timm, and without.
_EXPORT, _EXPORT_AGAIN = 15.0, 5.0
_FINISH = (8.5, 0.12)  # seconds, and share of the budget, for judging, checking and the report
_BIGGER = 2.0  # how much longer the next backbone may take for a photo
_TRIES = 16  # photos whose embedding tells how fast a backbone is
_LEAST = 0.002  # a step is kept when it names at least this share of photos more,
_SURER = 0.05  # or as many with a log loss that is lower by this share
# Fine-tuning: epochs; how much longer than embedding it takes to teach by a photo; training photos that must
# be wrong, and validation photos that must be there, for it to be worth trying.
_OWN_SECTIONS = ("pixels", "augment", "train")  # of which a network from scratch takes what a user sets
_EPOCHS, _TAUGHT, _FEW, _SELECT = 5, 9.0, 8, 40


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One frozen model: its maker, the embeddings of the training photos, the head, the seconds it took."""

    maker: TransferMaker
    recipe: Recipe
    table: FeatureTable
    chosen: Chosen
    seconds: float

    @property
    def score(self) -> float:
        return self.chosen.rungs[0].score or 0.0

    @property
    def log_loss(self) -> float:
        return self.chosen.rungs[0].log_loss or 0.0

    @property
    def names(self) -> str:
        return " + ".join(one.backbone.name for one in self.maker.opened)


@dataclass(frozen=True, slots=True)
class _Step:
    """What may be tried next: how long it would take, the share of the errors that it usually removes."""

    what: str
    seconds: float
    removes: float
    run: Callable[[], _Attempt | None]
    key: frozenset[str]


def auto_maker(settings: Recipe, progress: Progress) -> Maker:
    """The maker for what is at hand: backbones with their weights, or else a network from scratch."""
    if not settings.backbone.pretrained:
        return _FromScratch(settings, progress, "they are not wanted")
    wanted = list(settings.auto.backbones) or at_hand()
    names = list(dict.fromkeys(ALIASES.get(name, name) for name in wanted))
    first, passed = _first(settings, names or [ALIASES["fast"]], progress)
    if first is None:
        return _FromScratch(settings, progress, "; ".join(passed.values()))
    others = [name for name in names if name not in (*passed, first.backbone.name)]
    return _AutoMaker(settings, progress, first, others)


def _first(
    settings: Recipe, names: Sequence[str], progress: Progress
) -> tuple[Opened | None, dict[str, str]]:
    """The first backbone whose weights can be had, and why those before it could not.

    Raises what else is wrong with a name, such as that nobody knows it.
    """
    passed: dict[str, str] = {}
    for name in names:
        try:
            return _open(settings, name, progress), passed
        except WeightsError as error:
            passed[name] = error.what
            if len(names) > 1:
                progress(Said(f"{name} is left out: {error.what}", warning=True))
    return None, passed


def _open(settings: Recipe, name: str, progress: Progress) -> Opened:
    return open_backbone(name, settings=settings.backbone, pixels=settings.pixels, progress=progress)


def _frozen(settings: Recipe, opened: Sequence[Opened]) -> Recipe:
    """The recipe that does again what was decided."""
    model = settings.model.model_copy(update={"kind": "backbone"})
    names = tuple(one.backbone.name for one in opened)
    backbone = settings.backbone.model_copy(update={"names": names})
    finetune = settings.finetune.model_copy(update={"epochs": 0})  # decided last
    return settings.model_copy(update={"model": model, "backbone": backbone, "finetune": finetune})


def _with_own(section: Any, given: Any) -> Any:
    """A section with what the user has set in it."""
    return section.model_copy(update={name: getattr(given, name) for name in given.model_fields_set})


class _Diary:
    """Decisions, told at once and kept for the report."""

    def __init__(self, progress: Progress) -> None:
        self.lines: list[str] = []
        self._progress = progress

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        self._progress(Said(line))


class _FromScratch:
    """Without pretrained weights: the recipe "cnn", with as many epochs as the time allows."""

    def __init__(self, settings: Recipe, progress: Progress, why: str) -> None:
        cnn = load_recipe("cnn")
        own = {"name": settings.name, "about": settings.about, "data": settings.data, "split": settings.split}
        asked = {part: _with_own(getattr(cnn, part), getattr(settings, part)) for part in _OWN_SECTIONS}
        self._recipe = cnn.model_copy(update={**own, **asked})
        self._maker = NetworkMaker(self._recipe, progress)
        self._say = _Diary(progress)
        self._say(f"no pretrained weights: {why}. A network is taught from scratch; weights would do better")
        self.pixels, self.keeper = self._maker.pixels, self._maker.keeper

    def flush(self) -> None:
        self._maker.flush()

    def check(self, index: DatasetIndex) -> None:
        self._maker.check(index)

    def make(self, job: Job, checkpoint: object) -> Made:  # noqa: ARG002
        from sortograph.training.pace import seconds_per_epoch

        recipe = self._recipe
        layers = plan(recipe.model, job.pixels.spec.size, len(job.index.classes))
        epoch = seconds_per_epoch(recipe, layers, job.index, job.pixels)
        left = _left(job)
        fitting = max(1, min(recipe.train.epochs, int(left / max(epoch, 1e-3))))
        if fitting < recipe.train.epochs:
            told = counted(fitting, "epoch")
            self._say(
                f"{told} of {epoch:.1f} s fit into the {left:.0f} s that are left; the recipe has "
                f"{recipe.train.epochs}, which would take {recipe.train.epochs * epoch:.0f} s"
            )
            warm = min(recipe.train.warmup_epochs, fitting / 4)
            train = recipe.train.model_copy(update={"epochs": fitting, "warmup_epochs": warm})
            recipe = recipe.model_copy(update={"train": train})
        late = None
        if job.deadline is not None:  # one epoch is taught in any case: else nothing could be shipped
            late = max(job.deadline - _reserve(job), time.monotonic() + 5 * epoch + 10)
        made = self._maker.make(replace(job, recipe=recipe, deadline=late), None)
        return replace(made, decisions=(*self._say.lines, *made.decisions))


class _AutoMaker:
    """Climbs from the cheapest backbone to what the time allows."""

    def __init__(self, settings: Recipe, progress: Progress, first: Opened, others: Sequence[str]) -> None:
        self._settings, self._progress, self._others = settings, progress, list(others)
        self._paces: dict[str, float] = {}
        self._tried: set[frozenset[str]] = {frozenset([first.backbone.name])}
        self._embedded: frozenset[str] = frozenset([first.backbone.name])
        self._say = _Diary(progress)
        self._maker = TransferMaker(_frozen(settings, [first]), progress, [first])
        self.pixels, self.keeper = self._maker.pixels, self._maker.keeper

    def flush(self) -> None:
        self._maker.flush()

    def check(self, index: DatasetIndex) -> None:
        self._maker.check(index)

    def make(self, job: Job, checkpoint: object) -> Made:  # noqa: ARG002
        self._start(job)
        best = self._attempt(job, self._maker)
        self._say(
            f"{best.names}, frozen: {_percent(best)} with {best.chosen.rungs[0].title()}, after "
            f"{time.monotonic() - job.began:.0f} s"
        )
        later: list[str] = []
        while (step := self._next(job, best, later)) is not None:
            best = self._taken(step, best)
        tune = self._tuning(job, best, later)
        if later:
            self._say(f"with more time: {'; '.join(later)}")
        table = best.maker.keeper.table(job.index, np.arange(len(job.index)))
        job = replace(job, recipe=best.recipe if tune is None else tune, pixels=best.maker.pixels)
        made = best.maker.composed(job, table, best.chosen)
        made = replace(made, decisions=(*self._say.lines, *made.decisions))
        if tune is None:
            return made
        late = None if job.deadline is None else job.deadline - _reserve(job)
        pixels = PhotoPixels(best.maker.pixels.spec, 1 + tune.augment.zoom, self._progress)
        job = replace(job, deadline=late, pixels=pixels)
        return finetuned(job, made, best.maker.opened[0], best.chosen, None)

    def _start(self, job: Job) -> None:
        index = job.index
        uneven = is_uneven(index.labels[index.rows("train")], len(index.classes))
        budget = "no limit of time" if job.deadline is None else f"{job.left:.0f} s left of the budget"
        classes = counted(len(index.classes), "class", "classes")
        self._say(
            f"{len(index.rows('train'))} photos to train on in {classes}"
            f"{', unevenly: balanced accuracy decides' if uneven else ''}; {budget}"
        )

    def _attempt(self, job: Job, maker: TransferMaker) -> _Attempt:
        recipe = maker.settings
        late = None if job.deadline is None else job.deadline - _reserve(job)
        job = replace(job, recipe=recipe, pixels=maker.pixels, deadline=late)
        table = maker.keeper.table(job.index, job.index.rows("train"))
        began = time.monotonic()
        chosen = maker.choose(job, table)
        return _Attempt(maker, recipe, table, chosen, time.monotonic() - began)

    def _next(self, job: Job, best: _Attempt, later: list[str]) -> _Step | None:
        """The next step that is worth its time; what is not done for lack of time goes to `later`."""
        count = len(job.index.rows("train"))
        wrong = (1 - best.score) * count
        if job.stop():
            return None
        while steps := self._steps(job, best):
            step = steps[0]
            self._tried.add(step.key)
            gain = step.removes * (1 - best.score)
            if wrong < 1.5:
                self._say(f"{step.what} is left out: {wrong:.0f} of {count} are wrong, nothing to gain")
            elif step.seconds > _left(job):
                points = f"{100 * gain:+.1f} points"
                later.append(f"{step.what}, about {step.seconds:.0f} s for perhaps {points}")
            else:
                self._say(
                    f"{step.what}: about {step.seconds:.0f} s of {_left(job):.0f} s left, for perhaps "
                    f"{100 * gain:+.1f} points"
                )
                return step
        return None

    def _steps(self, job: Job, best: _Attempt) -> list[_Step]:
        """What was not tried yet: each other backbone alone, each beside the best one, mirrored views."""
        have = [one.backbone.name for one in best.maker.opened]
        names = [name for name in self._others if name not in have]
        wishes = [([name], False) for name in names] + [([*have, name], False) for name in names]
        steps = [self._step(job, best, some, mirror) for some, mirror in (*wishes, (have, True))]
        return [step for step in steps if step.key not in self._tried]

    def _step(self, job: Job, best: _Attempt, names: Sequence[str], mirror: bool) -> _Step:
        choice = self._settings.backbone
        changed = {"backbone": choice.model_copy(update={"mirror": mirror or choice.mirror})}
        settings, count = self._settings.model_copy(update=changed), len(job.index.rows("train"))

        def run() -> _Attempt | None:
            opened = [_open(settings, name, self._progress) for name in names]
            maker = TransferMaker(_frozen(settings, opened), self._progress, opened)
            needed = len(new) * count * self._pace(maker) + 2 * best.seconds
            if needed > _left(job):  # only now it is known how slow it is
                self._say(f"{what} would take about {needed:.0f} s of {_left(job):.0f} s left: left out")
                return None
            return self._attempt(job, maker)

        what = " + ".join(names) + (", seen mirrored, too" if mirror else "")
        new = [name for name in names if mirror or name not in self._embedded]
        export = _EXPORT_AGAIN if "timm" in sys.modules else _EXPORT
        start = sum(export for name in new if not is_exported(name, settings.backbone, settings.pixels))
        seconds = start + len(new) * count * self._pace(best.maker) * _BIGGER + 2 * best.seconds
        return _Step(what, seconds, 0.08 if mirror else 0.2, run, frozenset([*names, *["mirror"] * mirror]))

    def _tuning(self, job: Job, best: _Attempt, later: list[str]) -> Recipe | None:
        """The recipe with fine-tuning, where it is worth its time and there is any."""
        count, select = (len(job.index.rows(split)) for split in ("train", "validation"))
        wrong = (1 - best.score) * count
        if len(best.maker.opened) > 1 or wrong < _FEW or select < _SELECT or job.stop():
            return None
        each = self._pace(best.maker)
        seconds = _EXPORT + each * _TAUGHT * (count * _EPOCHS + select * _EPOCHS / 3)
        gain = f"for perhaps {100 * 0.15 * (1 - best.score):+.1f} points"
        if seconds > _left(job):
            later.append(f"fine-tuning of {best.names}, about {seconds:.0f} s {gain}")
            return None
        self._say(f"fine-tuning of {best.names}: about {seconds:.0f} s of {_left(job):.0f} s left, {gain}")
        return _tuned(best.recipe, self._settings.finetune.epochs or _EPOCHS)

    def _pace(self, maker: TransferMaker) -> float:
        """Seconds that embedding takes for a photo, decoded already."""
        if maker.keeper.source not in self._paces:
            photos = np.zeros((_TRIES, *maker.pixels.spec.size, 3), dtype=np.uint8)
            maker.keeper.embed(photos[:2])
            began = time.monotonic()
            maker.keeper.embed(photos)
            self._paces[maker.keeper.source] = (time.monotonic() - began) / len(photos)
        return self._paces[maker.keeper.source]

    def _taken(self, step: _Step, best: _Attempt) -> _Attempt:
        try:
            other = step.run()
            self._embedded |= step.key
        except (WeightsError, RecipeError) as error:
            self._say(f"{step.what} is left out: {error.what}")
            return best
        if other is None:
            return best
        better = _is_better(other, best)
        self._say(f"{step.what}: {_percent(other)}, {'kept' if better else 'not clearly better: left out'}")
        return other if better else best


def _is_better(other: _Attempt, best: _Attempt) -> bool:
    """More photos right; or as many, with clearly better probabilities, which few photos tell more surely."""
    if other.score >= best.score + _LEAST:
        return True
    return other.score >= best.score and other.log_loss <= (1 - _SURER) * best.log_loss


def _tuned(recipe: Recipe, epochs: int) -> Recipe:
    """A few epochs. Views are changed a little, and never mirrored: some classes would change places."""
    mild = {"zoom": 0.1, "width_shift": 0.05, "height_shift": 0.05, "rotation": 0.02}
    is_plain = recipe.augment == type(recipe.augment)()
    augment = recipe.augment.model_copy(update=mild) if is_plain else recipe.augment
    taught: dict[str, Any] = {
        "optimiser": "adamw",
        "weight_decay": 0.01,
        "schedule": "cosine",
        "warmup_epochs": 0.5,
    }
    train = Train(
        seed=recipe.train.seed, batch_size=recipe.train.batch_size, epochs=max(20, epochs), **taught
    )
    finetune = recipe.finetune.model_copy(update={"epochs": epochs})
    return recipe.model_copy(update={"augment": augment, "train": train, "finetune": finetune})


def _percent(attempt: _Attempt) -> str:
    rung = attempt.chosen.rungs[0]
    metric, error = rung.metric.replace("_", " "), 100 * (rung.error or 0.0)
    figure = f"{100 * attempt.score:.1f} % ± {error:.1f} {metric}"
    return f"{figure} in {rung.folds}-fold cross-validation within train"


def _reserve(job: Job) -> float:
    seconds, share = _FINISH
    return max(seconds, share * ((job.deadline or job.began) - job.began))


def _left(job: Job) -> float:
    return job.left - _reserve(job)
