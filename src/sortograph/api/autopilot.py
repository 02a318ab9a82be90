"""auto: the best classifier that the photos, the machine and the time allow, step by step, with reasons.

First a head on the embeddings of the cheapest backbone that is at hand; its figure is told at once. Then what
promises most, one step after the other, as long as there is something to gain and time to do it. Every step
is chosen by cross-validation within the training photos; validation and test have no part in it, but for
fine-tuning, which the half of validation called "select" decides about.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sortograph.api.finetuning import finetuned
from sortograph.api.gains import Hope, Kind, Seen, hoped, weighed, with_more_time
from sortograph.api.job import Job, Made, Maker, Rows
from sortograph.api.opening import Meanwhile, Opened, at_hand, is_exported, open_backbone
from sortograph.api.scratch import FromScratch
from sortograph.api.steps import Attempt, Step, frozen, is_better, percent, tuned
from sortograph.api.timing import ENDLESS, Budget, Diary, left, reserve
from sortograph.api.transfer import TransferMaker
from sortograph.dataset.thinning import teaching_order
from sortograph.errors import RecipeError, WeightsError, counted
from sortograph.loading.pixels import PhotoPixels
from sortograph.models.aliases import ALIASES
from sortograph.recipe import Recipe
from sortograph.records import DatasetIndex, Progress, Said
from sortograph.training.heads.balance import is_uneven

# Seconds that a backbone costs when it is used for the first time: with loading torch and timm, and without.
_EXPORT, _EXPORT_AGAIN = 7.0, 2.0
_MIRRORED = 2.0  # how much longer a photo takes that is seen mirrored, too
_MEASURING = 1.5  # seconds, about, that it may take to find how fast a backbone is with photos of the user
_LIGHTER = 0.7  # the share of the time, at most, with which another backbone goes first
_TRIES = 16  # blank photos that tell the pace of a backbone all of whose embeddings are there
# Fine-tuning: epochs; how much longer than embedding it takes to teach by a photo; training photos that must
# be wrong, and validation photos that must be there, for it to be worth trying.
_EPOCHS, _TAUGHT, _FEW, _SELECT = 5, 9.0, 8, 40


def auto_maker(
    settings: Recipe, progress: Progress, budget: Budget = ENDLESS, meanwhile: Meanwhile | None = None
) -> Maker:
    """The maker for what is at hand: backbones with their weights, or else a network from scratch.

    meanwhile: as for `open_backbone`
    """
    if not settings.backbone.pretrained:
        return FromScratch(settings, progress, "they are not wanted")
    wanted = list(settings.auto.backbones) or at_hand()
    names = list(dict.fromkeys(ALIASES.get(name, name) for name in wanted))
    first, passed = _first(settings, names or [ALIASES["fast"]], progress, meanwhile)
    if first is None:
        return FromScratch(settings, progress, "; ".join(passed.values()))
    others = [name for name in names if name not in (*passed, first.backbone.name)]
    return _AutoMaker(settings, progress, first, others, budget)


def _first(
    settings: Recipe, names: Sequence[str], progress: Progress, meanwhile: Meanwhile | None
) -> tuple[Opened | None, dict[str, str]]:
    """The first backbone whose weights can be had, and why those before it could not.

    Raises what else is wrong with a name, such as that nobody knows it.
    """
    passed: dict[str, str] = {}
    for name in names:
        try:
            return _open(settings, name, progress, meanwhile), passed
        except WeightsError as error:
            passed[name] = error.what
            if len(names) > 1:
                progress(Said(f"{name} is left out: {error.what}", warning=True))
    return None, passed


def _open(settings: Recipe, name: str, progress: Progress, meanwhile: Meanwhile | None = None) -> Opened:
    return open_backbone(
        name,
        settings=settings.backbone,
        pixels=settings.pixels,
        progress=progress,
        meanwhile=meanwhile,
    )


class _AutoMaker:
    """Climbs from the cheapest backbone to what the time allows."""

    def __init__(
        self, settings: Recipe, progress: Progress, first: Opened, others: Sequence[str], budget: Budget
    ) -> None:
        self._settings, self._progress, self._others = settings, progress, list(others)
        self._budget, self._seen = budget, list[Seen]()
        self._paces: dict[str, float] = {}
        self._say = Diary(progress)
        self._begin_with(self._made_of([first], settings, budget))

    def _begin_with(self, maker: TransferMaker) -> None:
        self._maker = maker
        self.pixels, self.keeper = maker.pixels, maker.keeper
        self._embedded = frozenset(one.backbone.name for one in maker.opened)
        self._tried: set[frozenset[str]] = {self._embedded}

    def _made_of(self, opened: Sequence[Opened], settings: Recipe, budget: Budget) -> TransferMaker:
        return TransferMaker(frozen(settings, opened), self._progress, opened, budget)

    def flush(self) -> None:
        self._maker.flush()

    def check(self, index: DatasetIndex) -> None:
        self._maker.check(index)

    def within(self, index: DatasetIndex) -> DatasetIndex:
        if (late := self._budget.embedding) is not None:
            self._lighten(index, late)
        found = self._maker.within(index)
        self._say.lines += self._maker.notes  # told already
        self._maker.notes.clear()
        return found

    def _lighten(self, index: DatasetIndex, late: float) -> None:
        """Begins with another backbone where the first has too much to do, and the other clearly less."""
        rows = np.arange(len(index))
        is_half_done = 2 * len(self._maker.keeper.lacking(index, rows)) < len(index)
        if is_half_done or time.monotonic() >= late:
            return
        needed = self._needed(self._maker, index, rows)
        if needed <= late - time.monotonic():
            return
        best, least = None, _LIGHTER * needed
        for name in self._others:
            if time.monotonic() >= late:
                break
            if not is_exported(name, self._settings.backbone, self._settings.pixels):
                continue
            try:
                opened = _open(self._settings, name, self._progress)
                maker = self._made_of([opened], self._settings, self._budget)
            except (WeightsError, RecipeError):
                continue  # which is told when it would be its turn
            if (seconds := self._needed(maker, index, rows)) < least:
                best, least = maker, seconds
        if best is not None:
            slow, quick = (one.opened[0].backbone.name for one in (self._maker, best))
            self._say(
                f"{quick} goes first: about {least:.0f} s for the embeddings that it lacks, where {slow} "
                f"would take {needed:.0f} s of {late - time.monotonic():.0f} s"
            )
            self._others = [slow, *(name for name in self._others if name != quick)]
            self._begin_with(best)

    def _needed(self, maker: TransferMaker, index: DatasetIndex, rows: Rows) -> float:
        """Seconds that embedding takes for those of the photos that lack it, some of which it embeds."""
        if not maker.keeper.lacking(index, rows):
            return 0.0
        pace = maker.keeper.pace(index, teaching_order(index, self._settings.split.seed), _MEASURING)
        pace = pace if pace.photos else maker.keeper.pace(index, rows, _MEASURING)
        return pace.each * len(maker.keeper.lacking(index, rows))

    def make(self, job: Job, checkpoint: object) -> Made:  # noqa: ARG002
        self._start(job)
        best = self._attempt(job, self._maker)
        self._say(
            f"{best.names}, frozen: {percent(best)} with {best.chosen.rungs[0].title()}, after "
            f"{time.monotonic() - job.began:.0f} s"
        )
        later: list[tuple[str, Hope]] = []
        while (step := self._next(job, best, later)) is not None:
            best = self._taken(job, step, best)
        tune = self._tuning(job, best, later)
        if later:
            self._say(with_more_time(later))
        table = best.maker.keeper.table(job.index, np.arange(len(job.index)))
        job = replace(job, recipe=best.recipe if tune is None else tune, pixels=best.maker.pixels)
        made = best.maker.composed(job, table, best.chosen)
        made = replace(made, decisions=(*self._say.lines, *made.decisions))
        if tune is None:
            return made
        late = None if job.deadline is None else job.deadline - reserve(job)
        pixels = PhotoPixels(best.maker.pixels.spec, 1 + tune.augment.zoom, self._progress)
        job = replace(job, deadline=late, pixels=pixels)
        return finetuned(job, made, best.maker.opened[0], best.chosen, None)

    def _start(self, job: Job) -> None:
        index = job.index
        uneven = is_uneven(index.labels[index.rows("train")], len(index.classes))
        budget = "no limit of time" if job.deadline is None else f"{job.left:.0f} s left of the budget"
        budget = budget if job.left > 0 else f"the budget ended {-job.left:.0f} s ago"
        classes = counted(len(index.classes), "class", "classes")
        self._say(
            f"{len(index.rows('train'))} photos to train on in {classes}"
            f"{', unevenly: balanced accuracy decides' if uneven else ''}; {budget}"
        )

    def _attempt(self, job: Job, maker: TransferMaker) -> Attempt:
        recipe = maker.settings
        late = None if job.deadline is None else job.deadline - reserve(job)
        job = replace(job, recipe=recipe, pixels=maker.pixels, deadline=late)
        table = maker.keeper.table(job.index, job.index.rows("train"))
        began = time.monotonic()
        chosen = maker.choose(job, table)
        return Attempt(maker, recipe, job.index, table, chosen, time.monotonic() - began)

    def _next(self, job: Job, best: Attempt, later: list[tuple[str, Hope]]) -> Step | None:
        """The next step that is worth its time; what is not done for lack of time goes to `later`."""
        count = len(job.index.rows("train"))
        if job.stop():
            return None
        while steps := self._steps(job, best):
            step = steps[0]
            self._tried.add(step.key)
            verdict = weighed(step.hope, count, step.seconds, left(job))
            if verdict.answer == "nothing to gain":
                self._say(f"{step.what} is left out: {verdict.reason}")
            elif verdict.answer == "no time":
                later.append((f"{step.what}, {verdict.reason}", step.hope))
            else:
                self._say(f"{step.what}: {verdict.reason}")
                return step
        return None

    def _steps(self, job: Job, best: Attempt) -> list[Step]:
        """What was not tried yet: each other backbone alone, each beside the best one, mirrored views."""
        have = tuple(one.backbone.name for one in best.maker.opened)
        names = [name for name in self._others if name not in have]
        alone = [self._step(job, best, "backbone", (name,)) for name in names]
        joined = [self._step(job, best, "joined", (*have, name)) for name in names]
        steps = [*alone, *joined, self._step(job, best, "mirror", have)]
        return [step for step in steps if step.key not in self._tried]

    def _step(self, job: Job, best: Attempt, kind: Kind, names: tuple[str, ...]) -> Step:
        choice, mirror = self._settings.backbone, kind == "mirror"
        changed = {"backbone": choice.model_copy(update={"mirror": mirror or choice.mirror})}
        settings = self._settings.model_copy(update=changed)
        have = {one.backbone.name for one in best.maker.opened}
        new = [name for name in names if mirror or name not in self._embedded]
        unjudged = [name for name in names if mirror or name not in have]
        export = _EXPORT_AGAIN if "timm" in sys.modules else _EXPORT
        unknown = [name for name in new if not is_exported(name, settings.backbone, settings.pixels)]
        slower = _MIRRORED if mirror else 1.0  # another backbone is measured as soon as it is open
        train = len(job.index.rows("train"))
        photos = len(new) * train + len(unjudged) * (len(job.index) - train)
        seconds = len(unknown) * export + photos * self._pace(best.maker) * slower + 2 * best.seconds
        taught = 1 - best.taught if mirror else 0.0
        return Step(kind, names, settings, seconds, hoped(kind, 1 - best.score, taught, self._seen))

    def _climbed(self, job: Job, step: Step, best: Attempt) -> Attempt | None:
        """What comes of a step; None where it turns out that there is no time for it."""
        opened = [_open(step.settings, name, self._progress) for name in step.names]
        maker = self._made_of(opened, step.settings, ENDLESS)
        index, train = job.index, job.index.rows("train")
        others = np.setdiff1d(np.arange(len(index)), train)
        first, second = (self._needed(maker, index, rows) for rows in (train, others))
        heads = 2 * best.seconds
        if first + second + heads > left(job):  # only now it is known how slow it is
            needed = f"{first + second + heads:.0f} s of {left(job):.0f} s left"
            self._say(f"{step.what} would take about {needed}: left out")
            return None
        until = None if job.deadline is None else time.monotonic() + left(job) - second - heads
        maker.keeper.embed_until(index, train, until)
        if rest := len(maker.keeper.lacking(index, train)):
            self._say(f"{step.what} is given up: no time for {rest} of {len(train)} training photos")
            return None
        return self._attempt(job, maker)

    def _tuning(self, job: Job, best: Attempt, later: list[tuple[str, Hope]]) -> Recipe | None:
        """The recipe with fine-tuning, where it is worth its time and there is any."""
        count, select = (len(job.index.rows(split)) for split in ("train", "validation"))
        wrong = (1 - best.score) * count
        if len(best.maker.opened) > 1 or wrong < _FEW or select < _SELECT or job.stop():
            return None
        each = self._pace(best.maker)
        seconds = _EXPORT + each * _TAUGHT * (count * _EPOCHS + select * _EPOCHS / 3)
        hope = hoped("finetune", 1 - best.score, 0.0, self._seen)
        verdict = weighed(hope, count, seconds, left(job))
        if verdict.answer != "go":
            later.append((f"fine-tuning of {best.names}, {verdict.reason}", hope))
            return None
        self._say(f"fine-tuning of {best.names}: {verdict.reason}")
        return tuned(best.recipe, self._settings.finetune.epochs or _EPOCHS)

    def _pace(self, maker: TransferMaker) -> float:
        """Seconds that embedding takes for a photo, decoded already."""
        if maker.keeper.source not in self._paces:
            photos = np.zeros((_TRIES, *maker.pixels.spec.size, 3), dtype=np.uint8)
            maker.keeper.embed(photos[:2])
            began = time.monotonic()
            maker.keeper.embed(photos)
            self._paces[maker.keeper.source] = (time.monotonic() - began) / len(photos)
        return self._paces[maker.keeper.source]

    def _taken(self, job: Job, step: Step, best: Attempt) -> Attempt:
        """The better one of the best so far and of what comes of the step."""
        try:
            other = self._climbed(job, step, best)
        except (WeightsError, RecipeError) as error:
            self._say(f"{step.what} is left out: {error.what}")
            return best
        if other is None:
            return best
        self._embedded |= step.key
        self._seen.append(Seen(step.kind, 1 - best.score, 1 - other.score))
        if not is_better(other, best):
            self._say(f"{step.what}: {percent(other)}, not clearly better: left out")
            return best
        if rest := self._unjudged(job, other):
            self._say(f"{step.what}: {percent(other)}, no time to embed {rest} photos that judge: left out")
            return best
        self._say(f"{step.what}: {percent(other)}, kept")
        return other

    def _unjudged(self, job: Job, other: Attempt) -> int:
        """Embeds what judges, and gives the number of photos that there was no time for."""
        rows = np.arange(len(job.index))
        until = None if job.deadline is None else time.monotonic() + left(job)
        other.maker.keeper.embed_until(job.index, rows, until)
        return len(other.maker.keeper.lacking(job.index, rows))
