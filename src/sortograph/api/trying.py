"""Remedies tried: short runs on the same photos, judged by validation photos; test photos are left alone."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sortograph import runs
from sortograph.api.job import Job, Made, Source
from sortograph.api.reading import read_photos
from sortograph.api.training import maker_of
from sortograph.bundle.runtime import asked
from sortograph.diagnosis import trials
from sortograph.diagnosis.trials import BASELINE, Outcome
from sortograph.diagnosis.view import RunView
from sortograph.errors import GateError, SortographError, UsageError, WeightsError
from sortograph.evaluation import groups_of, judge_all
from sortograph.files import make_folder, write_atomic
from sortograph.recipe import Recipe, load_recipe, recipe_toml
from sortograph.records import (
    DatasetIndex,
    Diagnosis,
    PredictionTable,
    Progress,
    Remedy,
    RunRecord,
    Said,
    Trial,
    silent,
)

BUDGET = 600.0  # seconds
_BATCH = 32
_JUDGED = ("train", "validation")
_OVERHEAD = 0.15  # of the budget, for reading, judging and writing
_AUTO = 20.0  # seconds that the recipe auto needs at the least
_NAME = "remedied"


@dataclass(frozen=True, slots=True)
class Bench:
    """Where remedies are tried, and on what.

    base      the recipe of the run, as it is
    deadline  a reading of time.monotonic, in seconds
    """

    record: RunRecord
    base: Recipe
    index: DatasetIndex
    photos: Path
    folder: Path
    deadline: float
    progress: Progress

    @property
    def left(self) -> float:
        return self.deadline - time.monotonic()


def try_remedies(bench: Bench, diagnosis: Diagnosis) -> Diagnosis:
    """The diagnosis with what its remedies really do, and the recipe with the best of those that helped.

    Raises UsageError without validation photos; what a single remedy raises is told with it.
    """
    if not len(bench.index.rows("validation")):
        raise UsageError(
            "remedies are judged by validation photos, and the run has none",
            where=str(bench.record.folder),
            fix="sortograph diagnose RUN, without --try",
        )
    wanted = trials.candidates(diagnosis)
    if not any(not trial.note for trial in wanted):
        bench.progress(Said("there is nothing to try: no remedy is a change of the recipe"))
        return replace(diagnosis, tried=wanted)
    epochs, wanted = _planned(bench, wanted)
    done = _all(bench, wanted, epochs)
    offered = _offered(bench, done)
    return replace(diagnosis, verdicts=trials.measured(diagnosis.verdicts, done), tried=done, offered=offered)


def _planned(bench: Bench, wanted: tuple[Trial, ...]) -> tuple[int | None, tuple[Trial, ...]]:
    """Epochs of every run, None for those without; and what there is time for."""
    view = RunView(bench.record, bench.index)
    if view.kind == "head":
        return None, wanted
    count = sum(not trial.note and not trial.remedy.recipe for trial in wanted)
    other = sum(bool(not trial.note and trial.remedy.recipe) for trial in wanted)
    budget = (1 - _OVERHEAD) * bench.left * (count + 1) / (count + other + 1)
    each = _seconds_per_epoch(bench, view)
    epochs, possible = trials.affordable(int(view.get(view.epochs_key)), max(1, count), each, budget)
    bench.progress(
        Said(
            f"an epoch takes about {each:.1f} s: every run has {epochs} of {view.get(view.epochs_key)} epochs"
        )
    )
    return epochs, trials.cut(wanted, possible + other)


def _seconds_per_epoch(bench: Bench, view: RunView) -> float:
    """Measured here for a network from scratch, which may have been trained elsewhere."""
    recorded = [row.seconds for row in view.history]
    if view.kind != "network":
        return float(np.mean(recorded)) if recorded else 1.0
    from sortograph.models import plan
    from sortograph.training.pace import seconds_per_epoch

    maker = maker_of(bench.base, silent)
    layers = plan(bench.base.model, maker.pixels.spec.size, len(bench.index.classes))
    try:
        return seconds_per_epoch(bench.base, layers, bench.index, maker.pixels)
    except GateError:  # what the run suffers from
        return float(np.mean(recorded)) if recorded else 1.0


def _all(bench: Bench, wanted: Sequence[Trial], epochs: int | None) -> tuple[Trial, ...]:
    base, first = _baseline(bench, epochs)
    done = [first]
    chance, level = RunView(bench.record, bench.index).majority, trials.level_for(wanted)
    for number, trial in enumerate(wanted, 1):
        if not trial.note and bench.left <= 0:
            trial = replace(trial, note="not tried: the budget is used up")
        if trial.note:
            done.append(trial)
            continue
        name = f"{number}-{re.sub(r'[^a-z0-9]+', '-', trial.remedy.text.lower()).strip('-')[:40]}"
        try:
            outcome = _tried(bench, trial.remedy, epochs, name)
        except SortographError as error:
            done.append(replace(trial, note=f"not tried to its end: {error.what}"))
            continue
        done.append(trials.compared(trial, outcome, base, chance, level))
    return tuple(done)


def _baseline(bench: Bench, epochs: int | None) -> tuple[Outcome | None, Trial]:
    """The run again, as short as the others; it may fail as the run did."""
    try:
        outcome = _tried(bench, BASELINE, epochs, "baseline")
    except GateError as error:
        return None, replace(Trial(BASELINE), note=error.what)
    return outcome, trials.baseline(outcome)


def _tried(bench: Bench, remedy: Remedy, epochs: int | None, name: str) -> Outcome:
    began = time.monotonic()
    bench.progress(Said(f"trying {remedy.text}"))
    settings, deadline = _settings(bench, remedy, epochs), bench.deadline
    if remedy.recipe:
        deadline = _time_for_auto(bench, settings)
    maker = maker_of(settings, silent)
    index = read_photos(bench.photos, settings, silent, keeper=maker.keeper).index
    maker.flush()
    maker.check(index)
    folder = make_folder(bench.folder / name)
    job = Job(settings, index, maker.pixels, folder, began, silent, Source(bench.photos), deadline=deadline)
    made = maker.make(job, None)
    tables = {split: _table(replace(job, pixels=made.pixels), made, split) for split in _JUDGED}
    results = judge_all(index, tables.values())
    _write(folder, index, made, tables)
    runs.write_evaluation(folder, results)
    taught = len(made.history) if made.history and not remedy.recipe else None
    groups = {split: groups_of(index, table.rows) for split, table in tables.items()}
    return Outcome(tables, results, taught, time.monotonic() - began, groups)


def _time_for_auto(bench: Bench, settings: Recipe) -> float:
    """When the recipe auto is to end. Raises WeightsError where it would train a network from scratch."""
    from sortograph.api.opening import at_hand

    if settings.model.kind == "auto" and not at_hand():
        raise WeightsError("no pretrained weights are at hand", fix="sortograph weights add NAME FILE")
    return time.monotonic() + max(_AUTO, bench.left / 2)


def _settings(bench: Bench, remedy: Remedy, epochs: int | None) -> Recipe:
    """The recipe of a short run."""
    settings = _remedied(bench, remedy)
    if epochs is None or remedy.recipe:
        return settings
    section = "finetune" if settings.finetune.epochs else "train"
    train = {"early_stopping": 0, "warmup_epochs": min(settings.train.warmup_epochs, epochs / 4)}
    changes = {"train": settings.train.model_copy(update=train)}
    changes[section] = changes.get(section, getattr(settings, section)).model_copy(update={"epochs": epochs})
    return settings.model_copy(update=changes)


def _remedied(bench: Bench, remedy: Remedy) -> Recipe:
    """What the command of the remedy trains by, with the seed of the run. Raises RecipeError."""
    name = remedy.recipe or str(bench.record.folder / "recipe.toml")
    return load_recipe(name, remedy.overrides, bench.record.seed)


def _table(job: Job, made: Made, split: str) -> PredictionTable:
    rows = job.index.rows(split)
    logits = made.known(rows) if made.known is not None else _asked(job, made, rows)
    return PredictionTable(rows, logits, job.index.labels[rows], job.index.classes, split)


def _asked(job: Job, made: Made, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    run = asked(made.graph, job.folder.name)
    parts = [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]
    return np.concatenate([run(job.pixels.evaluation(job.index, part)).logits for part in parts])


def _write(folder: Path, index: DatasetIndex, made: Made, tables: dict[str, PredictionTable]) -> None:
    write_atomic(folder / "recipe.toml", recipe_toml(made.recipe).encode())
    runs.write_history(folder, made.history)
    runs.write_predictions(folder, index, list(tables.values()))


def _offered(bench: Bench, done: Sequence[Trial]) -> Path | None:
    """The recipe with the best remedy, at its full length; None where none helped."""
    best = trials.best(done)
    if best is None:
        return None
    settings = _remedied(bench, best.remedy)
    name = f"{bench.base.name[: 79 - len(_NAME)]}-{_NAME}"
    about = f"{bench.base.name} with {best.remedy.text}"
    file = bench.folder / "recipe.toml"
    write_atomic(file, recipe_toml(settings.model_copy(update={"name": name, "about": about})).encode())
    return file
