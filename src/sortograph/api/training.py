"""train: photos → a run folder with a judged, checked, deployable model."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sortograph import environment, runs
from sortograph.api.auditing import quick_audit
from sortograph.api.correcting import corrected
from sortograph.api.job import Job, Made, Maker, Source
from sortograph.api.log import Log
from sortograph.api.networks import NetworkMaker
from sortograph.api.reading import read_photos, with_classes
from sortograph.api.telling import tell_findings, tell_notes, tell_rejected
from sortograph.api.timing import Budget
from sortograph.api.tracking import Tracking
from sortograph.api.writing import check_place
from sortograph.caches import cache_folder
from sortograph.dataset import Ahead, ahead_of_scan, check_there, write_index
from sortograph.dataset.thinning import as_thinned, is_thinned
from sortograph.errors import Interrupted, MissingExtra, RunError, UsageError, command
from sortograph.features import FeatureKeeper
from sortograph.files import write_atomic
from sortograph.recipe import DEFAULT, Recipe, load_recipe, make_recipe, recipe_toml
from sortograph.records import DatasetIndex, Progress, RunRecord, Said, silent

if TYPE_CHECKING:
    from sortograph.api.opening import Meanwhile
    from sortograph.training.checkpoint import Checkpoint

_WEIGHTS = "weights.safetensors"


def train(
    photos: str | os.PathLike[str],
    *,
    recipe: str = DEFAULT,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    out: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    budget: float | None = None,
    pretrained: bool = True,
    resume: str | os.PathLike[str] | None = None,
    log: str | None = None,
    corrections: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> RunRecord:
    """Train a classifier on a folder or CSV file of labelled photos, judge it, and write it all to a folder.

    recipe: a name of `recipes()`, or a TOML file; overrides: "section.key=value"
    seed: of first weights, order, augmentation and dropout (train.seed); splits have split.seed
    out: the run folder, new or empty; None for runs/<recipe>-<date>-<time>
    classes: their order in the outputs
    budget: seconds that everything together may take. The recipe "auto" plans by it (auto.budget where None);
        others end their training early
    pretrained: False trains from scratch: "auto" takes no backbone, and a backbone begins with random weights
    resume: the folder of an interrupted run, which goes on where it was, with the recipe that it has
    log: "tensorboard" or "mlflow" for figures in their files, on this machine; None for none
    corrections: a folder that `serve --corrections` has filled: photos are known by their content and
        relabelled, others go to train; what is in test, or near it, stays as it is

    Ctrl-C stops at the next step: the best weights so far are judged and written, and the record's status
    is "interrupted". Pressed again, or once training is over, it raises Interrupted.
    Raises RecipeError, DataError, RunError, StorageError, GateError, MissingExtra, WeightsError.
    """
    began, tracking = time.monotonic(), Tracking(log, progress)
    told = Log(tracking)
    _need_torch()
    check_place(Path(photos), cache_folder(), by="SORTOGRAPH_CACHE")
    source = Source(Path(photos), None if corrections is None else Path(corrections))
    if resume is not None:
        changed = overrides or out or classes or seed is not None or budget is not None or not pretrained
        _check_resumed(Path(resume), bool(changed))
        check_place(Path(photos), Path(resume))
        with runs.lock(Path(resume)):
            return _go_on(source, Path(resume), told, began, tracking)
    settings = _settings(recipe, overrides, seed, classes)
    if not pretrained:
        settings = settings.from_scratch()
    check_place(Path(photos), Path("runs" if out is None else out))
    if out is not None:
        runs.check_unused(Path(out))
    deadline = _deadline(settings, budget, began)
    check_there(source.photos)  # before a backbone is fetched for nothing
    ahead = Ahead()
    try:
        maker = maker_of(settings, told, deadline, _beginning(ahead, source, settings, deadline))
        index = _read(source, settings, maker, told, ahead=ahead)
    finally:
        ahead.drop()
    folder = runs.new_run(settings.name, None if out is None else Path(out))
    job = Job(settings, index, maker.pixels, folder, began, told, source, deadline=deadline)
    with runs.lock(folder):
        return _logged(job, maker, (told, tracking), None)


def _settings(
    recipe: str, overrides: Sequence[str], seed: int | None, classes: Sequence[str] | None
) -> Recipe:
    settings = load_recipe(recipe, overrides, seed)
    return settings if classes is None else with_classes(settings, classes)


def _deadline(settings: Recipe, budget: float | None, began: float) -> float | None:
    if budget is None and settings.model.kind == "auto":
        budget = settings.auto.budget
    if budget is not None and budget <= 0:
        raise UsageError(f"a budget of {budget:g} s", expected="more than 0", fix="--budget 5m")
    return None if budget is None else began + budget


def _beginning(ahead: Ahead, source: Source, settings: Recipe, deadline: float | None) -> Meanwhile:
    """Has photos read as a backbone will see them. Where time is limited, those that an earlier scan has seen
    wait until it is clear which of them there is time for."""
    coming = partial(
        ahead_of_scan,
        source.photos,
        follow_links=settings.data.follow_links,
        new_only=deadline is not None,
    )
    return lambda spec: ahead.begin(coming, ((spec, 1.0),))


def maker_of(
    settings: Recipe,
    progress: Progress,
    deadline: float | None = None,
    meanwhile: Meanwhile | None = None,
) -> Maker:
    """What makes a model by this recipe.

    deadline: a reading of time.monotonic, by which embeddings of photos are to be made early enough
    meanwhile: as for `open_backbone`
    """
    budget = Budget(deadline)
    if settings.model.kind == "backbone":
        from sortograph.api.transfer import TransferMaker

        return TransferMaker(settings, progress, budget=budget, meanwhile=meanwhile)
    if settings.model.kind == "auto":
        from sortograph.api.autopilot import auto_maker

        return auto_maker(settings, progress, budget, meanwhile)
    return NetworkMaker(settings, progress)


def _go_on(source: Source, folder: Path, log: Log, began: float, tracking: Tracking) -> RunRecord:
    """From the newest checkpoint to the end. Raises RunError when there is none, or the photos changed."""
    from sortograph.training.checkpoint import read_checkpoint

    _check_resumed(folder, changed=False)  # again: it may have been finished before it was locked
    began -= runs.read_run(folder).seconds  # what was spent before counts too
    checkpoint = read_checkpoint(folder / "checkpoints")
    settings = make_recipe(checkpoint.recipe, str(folder / "recipe.toml"))
    for damaged in checkpoint.passed_over:
        log(Said(f"a checkpoint is passed over: {damaged}", warning=True))
    maker = maker_of(settings, log)
    index = _read(source, settings, maker, log, runs.read_data(folder))
    if checkpoint.fingerprint != index.fingerprint:
        raise RunError(
            "the photos are not those that the run began with",
            where=str(folder),
            expected="the same photos, labels and splits",
            fix="sortograph train PHOTOS, which begins a new run",
        )
    job = Job(settings, index, maker.pixels, folder, began, log, source)
    return _logged(job, maker, (log, tracking), checkpoint)


def _logged(job: Job, maker: Maker, logs: tuple[Log, Tracking], checkpoint: Checkpoint | None) -> RunRecord:
    log, tracking = logs
    log.begin(job.folder / "log.txt")
    tracking.begin(job.folder, job.recipe.to_dict())
    record = None
    try:
        record = _run(job, maker, checkpoint)
        return record
    except Exception as error:
        log.failed(error)
        raise
    finally:
        tracking.end(record)


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


def _read(
    source: Source,
    settings: Recipe,
    maker: Maker,
    progress: Progress,
    before: DatasetIndex | None = None,
    ahead: Ahead | None = None,
) -> DatasetIndex:
    """before: what the run that goes on had, where its time did not suffice for all photos"""
    if before is not None and is_thinned(before.notes) and isinstance(maker.keeper, FeatureKeeper):
        maker.keeper.until = time.monotonic()  # nothing is embedded that was left out
    read = read_photos(source.photos, settings, progress, keeper=maker.keeper, ahead=ahead)
    if source.corrections is not None:
        read = corrected(read, source.corrections, settings, progress, maker.keeper)
    maker.flush()
    index = maker.within(read.index) if before is None else as_thinned(read.index, before)
    read = replace(read, index=index)
    maker.check(read.index)
    tell_notes(read.index, progress)
    tell_rejected(read.index, progress)
    tell_findings(quick_audit(read, progress), progress)
    return read.index


def _run(job: Job, maker: Maker, checkpoint: Checkpoint | None) -> RunRecord:
    record = _begin(job)
    try:
        with _interruptions() as stop:
            made = maker.make(replace(job, stop=stop), checkpoint)
        record = made.told(record)
        return _finish(job, record, made)
    except KeyboardInterrupt:
        runs.write_run(replace(record, status="interrupted"))
        fix = command("sortograph", "train", *job.source.words, *record.going_on())
        raise Interrupted("interrupted", where=str(job.folder), fix=fix) from None
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


def _finish(job: Job, record: RunRecord, made: Made) -> RunRecord:
    from safetensors.numpy import save

    from sortograph.api.judging import judge_and_bundle
    from sortograph.api.reviewing import draw_report

    job = replace(job, recipe=made.recipe, pixels=made.pixels)
    write_atomic(job.folder / "recipe.toml", recipe_toml(made.recipe).encode())
    write_atomic(job.folder / _WEIGHTS, save(dict(made.weights)))
    runs.write_history(job.folder, record.history)
    judged = judge_and_bundle(job, made)
    record = replace(
        record,
        evaluation=judged.evaluation,
        trust=judged.trust,
        status="interrupted" if made.interrupted else "finished",
        seconds=time.monotonic() - job.began,
    )
    temperature = 1.0 if judged.trust is None else judged.trust.temperature
    runs.write_evaluation(job.folder, judged.evaluation)
    runs.write_predictions(job.folder, job.index, judged.tables, temperature)
    runs.write_run(record)
    draw_report(job, record, judged)
    if not made.interrupted:
        shutil.rmtree(job.folder / "checkpoints", ignore_errors=True)
    record = replace(record, seconds=time.monotonic() - job.began)
    runs.write_run(record)
    return record
