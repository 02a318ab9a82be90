"""train: photos → a run folder with a judged, checked, deployable model."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sortograph import environment, runs
from sortograph.api.auditing import quick_audit
from sortograph.api.job import Job
from sortograph.api.log import Log
from sortograph.api.reading import read_photos, with_classes
from sortograph.api.telling import tell_findings, tell_notes, tell_rejected
from sortograph.api.writing import check_place
from sortograph.caches import cache_folder
from sortograph.dataset import write_index
from sortograph.errors import DataError, Interrupted, MissingExtra, RunError, UsageError
from sortograph.files import write_atomic
from sortograph.loading.pixels import PhotoPixels
from sortograph.models import plan
from sortograph.recipe import DEFAULT, Recipe, load_recipe, make_recipe, recipe_toml
from sortograph.records import DatasetIndex, Progress, RunRecord, Said, silent

if TYPE_CHECKING:
    from sortograph.training.checkpoint import Checkpoint
    from sortograph.training.loop import Fitted

_WEIGHTS = "weights.safetensors"


def train(
    photos: str | os.PathLike[str],
    *,
    recipe: str = DEFAULT,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    out: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> RunRecord:
    """Train a classifier on a folder or CSV file of labelled photos, judge it, and write it all to a folder.

    recipe: a name of `recipes()`, or a TOML file; overrides: "section.key=value"
    seed: of first weights, order, augmentation and dropout (train.seed); splits have split.seed
    out: the run folder, new or empty; None for runs/<recipe>-<date>-<time>
    classes: their order in the outputs
    resume: the folder of an interrupted run, which goes on where it was, with the recipe that it has

    Ctrl-C stops at the next step: the best weights so far are judged and written, and the record's status
    is "interrupted". Pressed again, or once training is over, it raises Interrupted.
    Raises RecipeError, DataError, RunError, StorageError, GateError, MissingExtra.
    """
    began, log = time.monotonic(), Log(progress)
    _need_torch()
    check_place(Path(photos), cache_folder(), by="SORTOGRAPH_CACHE")
    if resume is not None:
        _check_resumed(Path(resume), bool(overrides or out or classes or seed is not None))
        check_place(Path(photos), Path(resume))
        with runs.lock(Path(resume)):
            return _go_on(Path(photos), Path(resume), log, began)
    settings = load_recipe(recipe, overrides, seed)
    if classes is not None:
        settings = with_classes(settings, classes)
    check_place(Path(photos), Path("runs" if out is None else out))
    if out is not None:
        runs.check_unused(Path(out))
    index, pixels = _read(Path(photos), settings, log)
    made = plan(settings.model, pixels.spec.size, len(index.classes))
    folder = runs.new_run(settings.name, None if out is None else Path(out))
    with runs.lock(folder):
        return _logged(Job(settings, index, pixels, made, folder, began, log, Path(photos)), log, None)


def _go_on(photos: Path, folder: Path, log: Log, began: float) -> RunRecord:
    """From the newest checkpoint to the end. Raises RunError when there is none, or the photos changed."""
    from sortograph.training.checkpoint import read_checkpoint

    _check_resumed(folder, changed=False)  # again: it may have been finished before it was locked
    began -= runs.read_run(folder).seconds  # what was spent before counts too
    checkpoint = read_checkpoint(folder / "checkpoints")
    settings = make_recipe(checkpoint.recipe, str(folder / "recipe.toml"))
    for damaged in checkpoint.passed_over:
        log(Said(f"a checkpoint is passed over: {damaged}", warning=True))
    index, pixels = _read(photos, settings, log)
    if checkpoint.fingerprint != index.fingerprint:
        raise RunError(
            "the photos are not those that the run began with",
            where=str(folder),
            expected="the same photos, labels and splits",
            fix="sortograph train PHOTOS, which begins a new run",
        )
    made = plan(settings.model, pixels.spec.size, len(index.classes))
    return _logged(Job(settings, index, pixels, made, folder, began, log, photos), log, checkpoint)


def _logged(job: Job, log: Log, checkpoint: Checkpoint | None) -> RunRecord:
    log.begin(job.folder / "log.txt")
    try:
        return _run(job, checkpoint)
    except Exception as error:
        log.failed(error)
        raise


def _need_torch() -> None:
    from importlib.util import find_spec

    for module in ("torch", "accelerate", "safetensors", "onnx", "tomli_w", "matplotlib", "jinja2"):
        if find_spec(module) is None:
            raise MissingExtra.of("train", module)


def _check_resumed(folder: Path, changed: bool) -> None:
    if changed:
        raise UsageError(
            "a run is resumed with the recipe that it has",
            expected="--resume without --set, --seed, --out or --classes",
            fix="sortograph train PHOTOS --resume RUN",
        )
    if runs.read_run(folder).status == "finished":
        raise RunError("this run is finished", where=str(folder), fix="sortograph report RUN")


def _read(photos: Path, settings: Recipe, progress: Progress) -> tuple[DatasetIndex, PhotoPixels]:
    spec, zoom = settings.pixels.spec(), settings.augment.zoom
    pixels = PhotoPixels(spec, 1 + zoom, progress)
    plan(settings.model, spec.size, 2)  # what cannot work is refused before photos are read
    read = read_photos(photos, settings, progress, keeper=pixels)
    pixels.flush()
    _check_fit(settings, read.index)
    tell_notes(read.index, progress)
    tell_rejected(read.index, progress)
    tell_findings(quick_audit(read, progress), progress)
    return read.index, pixels


def _check_fit(settings: Recipe, index: DatasetIndex) -> None:
    """What only the photos can tell about a recipe."""
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


def _run(job: Job, checkpoint: Checkpoint | None) -> RunRecord:
    record = _begin(job)
    try:
        with _interruptions() as stop:
            fitted, about = _fit(job, checkpoint, stop)
        record = replace(
            record,
            environment={**record.environment, **about},
            history=fitted.history,
            best_epoch=fitted.best_epoch,
        )
        return _finish(job, record, fitted)
    except KeyboardInterrupt:
        runs.write_run(replace(record, status="interrupted"))
        raise Interrupted(
            "interrupted",
            where=str(job.folder),
            fix=f"sortograph train {job.photos} --resume {job.folder}",
        ) from None
    except BaseException:
        runs.write_run(replace(record, status="failed"))
        raise


def _begin(job: Job) -> RunRecord:
    """Everything that is known before the first step."""
    record = RunRecord(
        id=job.folder.resolve().name,
        folder=job.folder,
        recipe=job.recipe.to_dict(),
        fingerprint=job.index.fingerprint,
        seed=job.recipe.train.seed,
        environment=environment.describe(),
        history=(),
        evaluation={},
        status="running",
    )
    write_atomic(job.folder / "recipe.toml", recipe_toml(job.recipe).encode())
    write_index(job.index, job.folder / "index.csv")
    runs.write_data(job.folder, job.index)
    runs.write_run(record)
    return record


@contextlib.contextmanager
def _interruptions() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed once; the second time it works as ever. Other threads cannot ask for it."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def note(_signal: int, _frame: object) -> None:
        asked.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _fit(
    job: Job, checkpoint: Checkpoint | None, stop: Callable[[], bool]
) -> tuple[Fitted, Mapping[str, Any]]:
    from sortograph.training.fit import fit
    from sortograph.training.loop import Task

    def tell(event: Any) -> None:
        job.progress(event)

    task = Task(job.recipe, job.index, job.pixels, job.folder / "checkpoints", stop, tell)
    return fit(task, job.plan, checkpoint)


def _finish(job: Job, record: RunRecord, fitted: Fitted) -> RunRecord:
    from safetensors.numpy import save

    from sortograph.api.judging import judge_and_bundle
    from sortograph.api.reviewing import draw_report

    weights = {name: value.numpy() for name, value in fitted.weights.items()}
    write_atomic(job.folder / _WEIGHTS, save({k: np.ascontiguousarray(v) for k, v in weights.items()}))
    runs.write_history(job.folder, record.history)
    evaluation, tables = judge_and_bundle(job, fitted, weights)
    record = replace(
        record,
        evaluation=evaluation,
        status="interrupted" if fitted.interrupted else "finished",
        seconds=time.monotonic() - job.began,
    )
    runs.write_evaluation(job.folder, evaluation)
    runs.write_predictions(job.folder, job.index, tables)
    runs.write_run(record)
    draw_report(job, record, tables)
    if not fitted.interrupted:
        shutil.rmtree(job.folder / "checkpoints", ignore_errors=True)
    record = replace(record, seconds=time.monotonic() - job.began)
    runs.write_run(record)
    return record
