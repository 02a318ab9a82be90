"""report and evaluate: looking at a run again, or at new photos with its model."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sortograph import runs
from sortograph.api.answers import uncalibrated
from sortograph.api.judging import Answered, choosing_figures, predict_split
from sortograph.api.placing import NEW, matched, placed, run_index
from sortograph.api.telling import tell_rejected
from sortograph.api.writing import check_place
from sortograph.bundle.reading import FILE_NAME, bundle_file
from sortograph.bundle.runtime import Bundle, open_bundle
from sortograph.cores import cores
from sortograph.errors import DataError, PhotoError, RunError, UsageError, command
from sortograph.evaluation import judge_all
from sortograph.images.inspect import read_photo
from sortograph.images.preprocess import prepare
from sortograph.records import (
    SPLITS,
    DatasetIndex,
    EvaluationResult,
    PredictionTable,
    Progress,
    Rejected,
    RunRecord,
    Trust,
    leaks,
    silent,
)

if TYPE_CHECKING:
    from sortograph.api.job import Job
    from sortograph.api.judging import Judged
    from sortograph.api.sheets import Shown

_VIEWS = 9
_HEATMAP_SECONDS = 10.0  # of a report that is written again
_FINISH = 3.0  # seconds that a deadline must leave for the rest of a report
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What a model does on photos. `evaluation` has the splits train, validation and test of the run, and
    "new" for photos that the run did not have. `rejected` and `ignored` are of the photos that were given."""

    run: Path | None
    bundle: Path
    report: Path | None
    recipe: str
    seed: int | None
    seconds: float
    evaluation: Mapping[str, EvaluationResult]
    notes: tuple[str, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    ignored: int = 0
    trust: Trust | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "run": None if self.run is None else self.run.as_posix(),
            "bundle": self.bundle.as_posix(),
            "report": None if self.report is None else self.report.as_posix(),
            "recipe": self.recipe,
            "seed": self.seed,
            "seconds": round(self.seconds, 3),
            "evaluation": {split: result.to_json() for split, result in self.evaluation.items()},
            "leaks": leaks(self.evaluation),
            "trust": None if self.trust is None else self.trust.to_json(),
            "notes": list(self.notes),
            "rejected": [{"path": file.path, "reason": file.reason} for file in self.rejected],
            "ignored": self.ignored,
        }


def evaluate(
    model: str | os.PathLike[str],
    photos: str | os.PathLike[str] | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> Evaluated:
    """Judge a model on labelled photos; without photos, what its run has measured.

    model: a run folder or a model.onnx. Of a run, photos are known by their content: those that it was
    trained on are judged apart from those that it never saw.
    photos: with classes that the model knows, not necessarily all of them; a single photo is enough
    out: a folder, new or empty, for evaluation.json and predictions.csv

    Raises DataError when the photos have classes that the model does not know, or no labels; RunError when
    the index of the run was altered; UsageError when `out` lies among the photos.
    """
    began, place = time.monotonic(), Path(model)
    record = None if _is_bare(place) else runs.read_run(place)
    file = bundle_file(place)
    if photos is not None:
        target = None if out is None else Path(out)
        found = _on_photos(Path(photos), open_bundle(file, threads=1), record, target, progress)
    elif record is None:
        raise DataError("no photos to judge the model on", fix=f"sortograph evaluate {place} PHOTOS")
    else:
        found = _Found(record.evaluation, ("measured when the run ended",))
    recipe, trust = _known(record, file)
    return Evaluated(
        run=None if record is None else record.folder,
        bundle=file,
        report=record.report if record is not None and record.report.is_file() else None,
        recipe=recipe,
        seed=record.seed if record else None,
        seconds=time.monotonic() - began,
        evaluation=found.evaluation,
        notes=found.notes,
        rejected=found.rejected,
        ignored=found.ignored,
        trust=trust,
    )


def _known(record: RunRecord | None, file: Path) -> tuple[str, Trust | None]:
    """Name of the recipe, and what is promised: of the run, else of what a bare model says of itself."""
    if record is not None:
        return str(record.recipe.get("name", "")), record.trust
    manifest = open_bundle(file).manifest
    return manifest.recipe, manifest.trust


def _is_bare(place: Path) -> bool:
    """A model.onnx, or a folder that holds one but is no run."""
    return not place.is_dir() or ((place / FILE_NAME).is_file() and not (place / "run.json").exists())


@dataclass(frozen=True, slots=True)
class _Found:
    """What photos add to what is known of a model."""

    evaluation: Mapping[str, EvaluationResult]
    notes: tuple[str, ...]
    rejected: tuple[Rejected, ...] = ()
    ignored: int = 0


def _on_photos(
    photos: Path, bundle: Bundle, record: RunRecord | None, out: Path | None, progress: Progress
) -> _Found:
    if out is not None:
        check_place(photos, out)
        runs.check_unused(out)
    follow = bool(record.recipe.get("data", {}).get("follow_links")) if record else False
    found = matched(photos, bundle.manifest.classes, progress, follow_links=follow)
    index, notes = placed(found, record)
    tell_rejected(index, progress)
    tables = [answered.table for answered in _answered(index, bundle, progress).values()]
    temperature = bundle.manifest.temperature
    evaluation = judge_all(index, tables, temperature=temperature)
    if record is not None:
        evaluation = _with_chosen(evaluation, record)
        evaluation = _with_choosing(evaluation, record, index, tables, temperature)
    if out is not None:
        folder = runs.new_run("evaluation", out)
        runs.write_evaluation(folder, evaluation)
        runs.write_predictions(folder, index, tables, temperature)
    return _Found(evaluation, (*index.notes, *notes), index.rejected, index.ignored)


def _with_chosen(
    evaluation: Mapping[str, EvaluationResult], record: RunRecord
) -> dict[str, EvaluationResult]:
    """How many photos of a split helped to choose the model, as its run knows of whole splits."""
    known = record.evaluation
    return {
        split: replace(result, chose=known[split].chose)
        if split in known and known[split].n == result.n
        else result
        for split, result in evaluation.items()
    }


def _with_choosing(
    evaluation: dict[str, EvaluationResult],
    record: RunRecord,
    index: DatasetIndex,
    tables: Sequence[PredictionTable],
    temperature: float,
) -> dict[str, EvaluationResult]:
    """Figures of the validation photos that choose, where all of them are here."""
    own = run_index(record)
    rows = own.rows("validation")
    choosing = uncalibrated(record, own, [own.paths[row] for row in rows.tolist()])
    table = next((table for table in tables if table.split == "validation"), None)
    if choosing is None or table is None:
        return evaluation
    contents = {own.sha256[row] for row in rows[choosing].tolist()}
    here = table.rows[[index.sha256[row] in contents for row in table.rows.tolist()]]
    if not len(here) or len(here) != evaluation["validation"].chose:
        return evaluation
    figures = choosing_figures(index, table, here, temperature)
    return evaluation | {"validation": replace(evaluation["validation"], choosing=figures)}


def _answered(index: DatasetIndex, bundle: Bundle, progress: Progress) -> dict[str, Answered]:
    def pixels(rows: NDArray[np.int64]) -> Pixels:
        return _prepared(index, rows, bundle)

    return {
        split: predict_split(index, split, bundle.run_many, pixels, progress)
        for split in (*SPLITS, NEW)
        if len(index.rows(split))
    }


def _prepared(index: DatasetIndex, rows: Sequence[int] | NDArray[np.int64], bundle: Bundle) -> Pixels:
    spec = bundle.manifest.preprocess
    with ThreadPoolExecutor(cores()) as pool:
        paths = [index.paths[int(row)] for row in rows]
        return np.stack(list(pool.map(lambda path: prepare(read_photo(index.root, path), spec), paths)))


def report(
    run: str | os.PathLike[str],
    *,
    photos: str | os.PathLike[str] | None = None,
    with_photos: bool = True,
    progress: Progress = silent,
) -> Path:
    """Write report.html and model-card.md of a run again; plots from its records, photos as they were drawn
    when it ended.

    photos: the folder it was trained on, to draw its sheets of photos again, too
    with_photos: False leaves all photos out of the page, to pass it on where they may not be seen
    Raises RunError when the folder is no run, has no model yet, or the photos are not those it had;
    UsageError for photos that would be left out.
    """
    from sortograph.api.sheets import Shown

    if photos is not None and not with_photos:
        raise UsageError(
            "photos are to be drawn, and to be left out", fix=f"sortograph report {run} --no-photos"
        )
    record = runs.read_run(Path(run))
    if not record.evaluation:
        raise RunError(
            "this run has nothing to report yet",
            where=str(run),
            expected="a run that was finished or stopped by Ctrl-C",
            fix=command("sortograph", "train", "PHOTOS", *record.going_on()),
        )
    bundle = open_bundle(record.bundle, threads=1)
    index = run_index(record, None if photos is None else Path(photos))
    pictures = _kept_pictures(record.folder) if with_photos else {}
    if photos is None:
        pictures |= _plots(record, index)
    else:
        _check_unchanged(index)
        shown = Shown(
            index=index,
            found=_answered(index, bundle, progress),
            pixels=lambda rows: _prepared(index, rows, bundle),
            run=bundle.run_many,
            seed=record.seed,
            temperature=bundle.manifest.temperature,
            seconds=_HEATMAP_SECONDS,
            progress=progress,
        )
        # Where there was no time for any heatmap, those of the run stay.
        drawn = _pictures(record, shown).items()
        pictures |= {name: sheet for name, sheet in drawn if sheet or name != "heatmaps"}
    return _written(record, index, pictures)


def _check_unchanged(index: DatasetIndex) -> None:
    """Raises RunError when photos are gone, or are not those that the run had."""

    def is_other(row: int) -> bool:
        try:
            return hashlib.sha256(read_photo(index.root, index.paths[row])).hexdigest() != index.sha256[row]
        except PhotoError:
            return True

    with ThreadPoolExecutor(cores()) as pool:
        others = [
            path for path, bad in zip(index.paths, pool.map(is_other, range(len(index))), strict=True) if bad
        ]
    if others:
        raise RunError(
            f"{len(others)} of {len(index)} photos are gone or changed since the run, such as {others[0]}",
            where=str(index.root),
            expected="the photos that the run was trained on",
            fix="sortograph report RUN without --photos, or sortograph evaluate RUN PHOTOS",
        )


def draw_report(job: Job, record: RunRecord, judged: Judged) -> Path:
    """The report of a run that has just ended. Heatmaps take what time a budget leaves, and few seconds."""
    from sortograph.api.sheets import HEATMAP_SECONDS, Shown
    from sortograph.reporting import augmented_sheet

    shown = Shown(
        index=job.index,
        found=judged.answered,
        pixels=lambda rows: job.pixels.evaluation(job.index, rows),
        run=judged.run,
        seed=record.seed,
        temperature=1.0 if judged.trust is None else judged.trust.temperature,
        seconds=min(HEATMAP_SECONDS, job.left - _FINISH),
        progress=job.progress,
    )
    pictures = _pictures(record, shown)
    if any(value for value in job.recipe.augment.model_dump().values()):
        pictures["augmented"] = augmented_sheet(_views(job))
    return _written(record, job.index, pictures)


def _pictures(record: RunRecord, shown: Shown) -> dict[str, bytes]:
    from sortograph.api.sheets import photo_sheets
    from sortograph.reporting import sample_sheet

    def others() -> dict[str, bytes]:
        samples = sample_sheet(shown.index, shown.pixels, record.seed)
        return {"samples": samples, **_plots(record, shown.index)}

    return photo_sheets(shown, others)


def _plots(record: RunRecord, index: DatasetIndex) -> dict[str, bytes]:
    from sortograph.reporting import confusion, curves, per_class, reliability

    drawn = {"curves": curves(record.history, record.best_epoch) if record.history else b""}
    found = [record.evaluation[split] for split in reversed(SPLITS) if split in record.evaluation]
    if not found:
        return drawn
    judged = found[0]
    return drawn | {
        "confusion": confusion(judged, index.classes),
        "per_class": per_class(judged),
        "reliability": reliability(judged),
    }


def _views(job: Job) -> Pixels:
    """One training photo as nine epochs would show it, uint8 (9, H, W, 3)."""
    import torch

    from sortograph.loading.augment import Augmenter, draws

    row = job.index.rows("train")[:1]
    pixels = torch.from_numpy(np.repeat(job.pixels.training(job.index, row), _VIEWS, axis=0))
    seed = job.recipe.train.seed
    drawn = np.concatenate([draws(len(job.index), seed, epoch)[row] for epoch in range(1, _VIEWS + 1)])
    views = Augmenter(job.recipe.augment, job.pixels.spec.size)(pixels, torch.from_numpy(drawn))
    return np.asarray(views.permute(0, 2, 3, 1).round().clamp(0, 255).byte().numpy())


def _kept_pictures(folder: Path) -> dict[str, bytes]:
    from sortograph.reporting.page import PICTURES

    files = {name: folder / "plots" / f"{name}.png" for name in PICTURES}
    return {name: file.read_bytes() for name, file in files.items() if file.is_file()}


def _written(record: RunRecord, index: DatasetIndex, pictures: Mapping[str, bytes]) -> Path:
    """Page and model card, with what the records of the run tell of its health."""
    from sortograph.diagnosis import short, verdicts
    from sortograph.reporting import ReportView, shown_folder, write_card, write_report

    # Commands on the page name the run as the page does, whatever folders lie above it.
    found = replace(verdicts(record, index), run=Path(shown_folder(record)))
    view = ReportView(record, index, pictures, short(found))
    write_card(view)
    return write_report(view)
