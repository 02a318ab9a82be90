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
from sortograph.api.judging import predict_split
from sortograph.api.photos import check_place
from sortograph.bundle.runtime import Bundle, bundle_file, open_bundle
from sortograph.dataset import scan
from sortograph.errors import DataError, PhotoError, RunError, nearest
from sortograph.evaluation import judge, with_gaps
from sortograph.images.inspect import read_bytes
from sortograph.images.preprocess import prepare
from sortograph.records import (
    SPLITS,
    DatasetIndex,
    EvaluationResult,
    PredictionTable,
    Progress,
    RunRecord,
    silent,
)

if TYPE_CHECKING:
    from sortograph.api.job import Job

NEW = "new"
_VIEWS = 9
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What a model does on photos. `evaluation` has the splits train, validation and test of the run, and
    "new" for photos that the run did not have."""

    run: Path | None
    bundle: Path
    report: Path | None
    recipe: str
    seed: int | None
    seconds: float
    evaluation: Mapping[str, EvaluationResult]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "run": None if self.run is None else self.run.as_posix(),
            "bundle": self.bundle.as_posix(),
            "report": None if self.report is None else self.report.as_posix(),
            "recipe": self.recipe,
            "seed": self.seed,
            "seconds": round(self.seconds, 3),
            "evaluation": {split: result.to_json() for split, result in self.evaluation.items()},
            "notes": list(self.notes),
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
    out: a folder, new or empty, for evaluation.json and predictions.csv

    Raises DataError when the photos have classes that the model does not know, or no labels; UsageError
    when `out` lies among them.
    """
    began, place = time.monotonic(), Path(model)
    record = runs.read_run(place) if place.is_dir() else None
    file = bundle_file(place)
    notes: tuple[str, ...]
    if photos is not None and out is not None:
        check_place(Path(photos), Path(out))
    if photos is None:
        if record is None:
            raise DataError("no photos to judge the model on", fix=f"sortograph evaluate {place} PHOTOS")
        evaluation, notes = record.evaluation, ("measured when the run ended",)
    else:
        bundle = open_bundle(file)
        index, notes = _placed(_matched(Path(photos), bundle, progress), record)
        tables = _tables(index, bundle, progress)
        evaluation = with_gaps({table.split: judge(table) for table in tables})
        if out is not None:
            folder = runs.new_run("evaluation", Path(out))
            runs.write_evaluation(folder, evaluation)
            runs.write_predictions(folder, index, tables)
    return Evaluated(
        run=None if record is None else record.folder,
        bundle=file,
        report=record.report if record is not None and record.report.is_file() else None,
        recipe=str(record.recipe.get("name", "")) if record else open_bundle(file).manifest.recipe,
        seed=record.seed if record else None,
        seconds=time.monotonic() - began,
        evaluation=evaluation,
        notes=notes,
    )


def _matched(photos: Path, bundle: Bundle, progress: Progress) -> DatasetIndex:
    """The photos, with labels that count in the order of the model's classes."""
    found, known = scan(photos, progress=progress), bundle.manifest.classes
    unknown = [f"{name!r}{nearest(name, known)}" for name in found.classes if name not in known]
    if unknown:
        raise DataError(
            f"classes that the model does not know: {', '.join(unknown)}",
            where=str(photos),
            expected=f"some of {', '.join(known)}",
            fix="rename these folders, or leave them out",
        )
    number = np.array([known.index(name) for name in found.classes], dtype=np.int64)
    return replace(found, classes=known, labels=number[found.labels])


def _placed(index: DatasetIndex, record: RunRecord | None) -> tuple[DatasetIndex, tuple[str, ...]]:
    """Each photo in the split that the run had it in, by content; else "new"."""
    known: dict[str, str] = {}
    if record is not None:
        known_index = runs.read_data(record.folder)
        known = dict(zip(known_index.sha256, known_index.splits, strict=True))
    splits = tuple(known.get(content, NEW) for content in index.sha256)
    if record is None:
        note = (
            "a model.onnx does not say which photos it was trained on: give its run folder to tell them apart"
        )
        return replace(index, splits=splits), (note,)
    counts = ", ".join(f"{splits.count(s)} {s}" for s in (*SPLITS, NEW) if s in splits)
    return replace(index, splits=splits), (f"photos by the split that the run had them in: {counts}",)


def _tables(index: DatasetIndex, bundle: Bundle, progress: Progress) -> list[PredictionTable]:
    def pixels(rows: NDArray[np.int64]) -> Pixels:
        return _prepared(index, rows, bundle)

    return [
        predict_split(index, split, bundle.run, pixels, progress)
        for split in (*SPLITS, NEW)
        if len(index.rows(split))
    ]


def _prepared(index: DatasetIndex, rows: Sequence[int] | NDArray[np.int64], bundle: Bundle) -> Pixels:
    spec = bundle.manifest.preprocess
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        files = [index.root / index.paths[int(row)] for row in rows]
        return np.stack(list(pool.map(lambda file: prepare(read_bytes(file), spec), files)))


def report(
    run: str | os.PathLike[str], *, photos: str | os.PathLike[str] | None = None, progress: Progress = silent
) -> Path:
    """Write report.html of a run again; plots from its records, photos as they were drawn when it ended.

    photos: the folder it was trained on, to draw its sheets of photos again, too
    Raises RunError when the folder is no run, has no model yet, or the photos are not those it had.
    """
    from sortograph.reporting import ReportView, sample_sheet, write_report

    record = runs.read_run(Path(run))
    if not record.evaluation:
        raise RunError(
            "this run has nothing to report yet",
            where=str(run),
            expected="a run that was finished or stopped by Ctrl-C",
            fix="sortograph train PHOTOS --resume RUN",
        )
    bundle = open_bundle(record.bundle)
    index = runs.read_data(record.folder, None if photos is None else Path(photos))
    pictures = {**_kept_pictures(record.folder), **_plots(record, index)}
    if photos is not None:
        _check_unchanged(index)
        tables = _tables(index, bundle, progress)

        def pixels(rows: NDArray[np.int64]) -> Pixels:
            return _prepared(index, rows, bundle)

        pictures["samples"] = sample_sheet(index, pixels, record.seed)
        pictures |= _sheets(index, tables, pixels, record.seed)
    return write_report(ReportView(record, index, pictures))


def _check_unchanged(index: DatasetIndex) -> None:
    """Raises RunError when photos are gone, or are not those that the run had."""

    def is_other(row: int) -> bool:
        try:
            return hashlib.sha256(read_bytes(index.root / index.paths[row])).hexdigest() != index.sha256[row]
        except PhotoError:
            return True

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
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


def draw_report(job: Job, record: RunRecord, tables: list[PredictionTable]) -> Path:
    """The report of a run that has just ended."""
    from sortograph.reporting import ReportView, augmented_sheet, sample_sheet, write_report

    def pixels(rows: NDArray[np.int64]) -> Pixels:
        return job.pixels.evaluation(job.index, rows)

    pictures = {
        "samples": sample_sheet(job.index, pixels, record.seed),
        **_plots(record, job.index),
        **_sheets(job.index, tables, pixels, record.seed),
    }
    if any(value for value in job.recipe.augment.model_dump().values()):
        pictures["augmented"] = augmented_sheet(_views(job))
    return write_report(ReportView(record, job.index, pictures))


def _sheets(
    index: DatasetIndex, tables: Sequence[PredictionTable], pixels: Any, seed: int
) -> dict[str, bytes]:
    from sortograph.reporting import mistake_sheet, prediction_sheet

    held_out = [table for table in tables if table.split != "train"] or list(tables)
    judged = held_out[-1]
    return {
        "predictions": prediction_sheet(index, judged, pixels, seed),
        "mistakes": mistake_sheet(index, judged, pixels),
    }


def _plots(record: RunRecord, index: DatasetIndex) -> dict[str, bytes]:
    from sortograph.reporting import confusion, curves, per_class

    judged = next(record.evaluation[split] for split in reversed(SPLITS) if split in record.evaluation)
    return {
        "curves": curves(record.history, record.best_epoch) if record.history else b"",
        "confusion": confusion(judged, index.classes),
        "per_class": per_class(judged),
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
