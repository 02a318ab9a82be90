"""From trained weights to a judged model.onnx: what is measured is what is shipped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import sortograph
from sortograph.api.job import Job, Made, Rows
from sortograph.bundle.golden import golden_photos
from sortograph.bundle.reading import FILE_NAME
from sortograph.bundle.runtime import Run, asked
from sortograph.bundle.store import write_bundle
from sortograph.dataset.halves import reserved
from sortograph.errors import GateError
from sortograph.evaluation import groups_of, judge, judge_all, likeness_to, prototypes, trust
from sortograph.export import check_parity, with_likeness
from sortograph.records import (
    SPLITS,
    BundleManifest,
    DatasetIndex,
    Estimate,
    EvaluationResult,
    PredictionTable,
    Progress,
    Said,
    Step,
    Trust,
)

_BATCH = 32
_CHOOSING = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss")  # what a run may be chosen by
_PARITY_PHOTOS = 256
_LARGE_PHOTOS = 64  # backbones take tens of milliseconds for one
Pixels = Callable[[NDArray[np.int64]], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Answered:
    """The answers to the photos of one split, and their embeddings, float32 (N, D)."""

    table: PredictionTable
    embeddings: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Judged:
    """All that was measured of a model; `trust` is None without photos to calibrate on.

    answered  split → what the tables and the embeddings of its photos are; run  asks the model
    """

    evaluation: dict[str, EvaluationResult]
    tables: list[PredictionTable]
    trust: Trust | None
    answered: Mapping[str, Answered]
    run: Run


def judge_and_bundle(job: Job, made: Made) -> Judged:
    """Check the graph against what was taught on held-out photos, calibrate, judge every split, write
    model.onnx.

    Validation photos that choose nothing, in this run or among runs, calibrate: temperature, thresholds,
    likeness. The test photos judge once: not a run that was interrupted and may go on.
    Raises GateError when the exported model answers otherwise than the one that was taught.
    """
    index, where = job.index, str(job.folder / FILE_NAME)
    run = asked(made.graph, where)
    _check(job, made, run, where)
    found = {
        split: _answered(job, made, split, run)
        for split in SPLITS
        if made.scored and len(index.rows(split)) and not (split == "test" and made.interrupted)
    }
    centres = prototypes(found["train"].embeddings) if "train" in found else None
    chose = _choosing(job, made)
    measured = _trust(index, chose, found.get("validation"), centres)
    temperature = 1.0 if measured is None else measured.temperature
    tables = [answered.table for answered in found.values()]
    evaluation = judge_all(index, tables, temperature=temperature)
    if "validation" in found:
        figures = choosing_figures(index, found["validation"].table, chose, temperature)
        evaluation["validation"] = replace(evaluation["validation"], chose=len(chose), choosing=figures)
    golden = run(golden_photos(job.pixels.spec.size)).logits
    _check_finite(golden, made)
    graph = made.graph if centres is None else with_likeness(made.graph, centres)
    write_bundle(job.folder / FILE_NAME, graph, _manifest(job, made, evaluation, measured), golden)
    return Judged(evaluation, tables, measured, found, run)


def _manifest(
    job: Job, made: Made, evaluation: Mapping[str, EvaluationResult], measured: Trust | None
) -> BundleManifest:
    manifest = BundleManifest(
        classes=job.index.classes,
        preprocess=job.pixels.spec,
        fingerprint=job.index.fingerprint,
        evaluation={split: _short(result) for split, result in evaluation.items()},
        weights_licence=made.licence,
        recipe=made.recipe.name,
        made_with=f"sortograph {sortograph.__version__}",
    )
    if measured is None:
        return manifest
    told = measured.to_json()
    return replace(
        manifest,
        temperature=measured.temperature,
        abstain=tuple(told["abstain"]),
        conformal=tuple(told["conformal"]),
        likeness=told["likeness"] or {},
        calibrated={name: told[name] for name in ("split", "n", "groups", "lacking")},
    )


def _choosing(job: Job, made: Made) -> Rows:
    """Rows of the validation photos that chose something, or are kept to choose among runs."""
    rows, split = job.index.rows("validation"), made.recipe.split
    if not (split.reserve and made.scored):
        return made.chose
    kept = reserved(job.index, rows, split.seed)
    if len(kept) and not len(made.chose):
        told = f"{len(kept)} photos are kept to choose among runs"
        left = f"{len(rows) - len(kept)} are left for calibration"
        job.progress(Said(f"validation is halved: {told}, {left}"))
    return np.union1d(made.chose, kept)


def choosing_figures(
    index: DatasetIndex, table: PredictionTable, chose: Rows, temperature: float
) -> dict[str, Estimate]:
    """What the photos that choose say of the model, apart from those that calibrate."""
    some = _part(table, np.isin(table.rows, chose))
    if not len(some.rows):
        return {}
    found = judge(some, temperature=temperature, groups=groups_of(index, some.rows)).metrics
    return {name: found[name] for name in _CHOOSING}


def _part(table: PredictionTable, kept: NDArray[np.bool_]) -> PredictionTable:
    labels = None if table.labels is None else table.labels[kept]
    return PredictionTable(table.rows[kept], table.logits[kept], labels, table.classes, table.split)


def _trust(
    index: DatasetIndex, chose: Rows, validation: Answered | None, centres: NDArray[np.float32] | None
) -> Trust | None:
    """By the validation photos that have no part in choosing, and that training has not seen, or nearly."""
    if validation is None:
        return None
    table = validation.table
    free = ~np.isin(table.rows, chose) & ~index.held_by("train", table.rows)
    some = _part(table, free)
    likeness = None if centres is None else likeness_to(centres, validation.embeddings[free])
    return trust(some, groups_of(index, some.rows), likeness)


def _check_finite(golden: NDArray[np.float32], made: Made) -> None:
    if not np.isfinite(golden).all():
        lower = made.recipe.train.learning_rate / 10
        raise GateError(
            "the trained network's answers are not finite numbers: its weights have exploded",
            fix=f"--set train.learning_rate={lower:g} or --set train.clip_norm=1",
        )


def _answered(job: Job, made: Made, split: str, run: Run) -> Answered:
    index = job.index
    rows = index.rows(split)
    if made.known is None or made.embedded is None:
        return predict_split(index, split, run, lambda rows: job.pixels.evaluation(index, rows), job.progress)
    table = PredictionTable(rows, made.known(rows), index.labels[rows], index.classes, split)
    return Answered(table, made.embedded(rows))


def _check(job: Job, made: Made, run: Run, where: str) -> None:
    """What was taught against the graph, on some photos that training never saw.

    Where answers are known already, the graph must give those.
    """
    held_out = np.concatenate([job.index.rows("test"), job.index.rows("validation")])
    rows = held_out if len(held_out) else job.index.rows("train")
    is_small = made.known is None and made.recipe.model.kind != "backbone"
    most = _PARITY_PHOTOS if is_small else _LARGE_PHOTOS
    if len(rows) > most:  # from all classes, which lie one after the other
        rows = rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
    for start in range(0, len(rows), _BATCH):
        some = rows[start : start + _BATCH]
        photos = job.pixels.evaluation(job.index, some)
        expected = made.reference(photos) if made.known is None else made.known(some)
        check_parity(expected, run(photos), job.index.classes, where=where, tolerance=made.tolerance)


def predict_split(index: DatasetIndex, split: str, run: Run, pixels: Pixels, progress: Progress) -> Answered:
    """The answers for all photos of one split."""
    rows = index.rows(split)
    answers = []
    for start in range(0, len(rows), _BATCH):
        answers.append(run(pixels(rows[start : start + _BATCH])))
        progress(Step(f"judging {split}", min(start + _BATCH, len(rows)), len(rows)))
    logits = np.concatenate([answer.logits for answer in answers])
    table = PredictionTable(rows, logits, index.labels[rows], index.classes, split)
    return Answered(table, np.concatenate([answer.embedding for answer in answers]))


def _short(result: EvaluationResult) -> dict[str, Any]:
    """What a bundle says of a split: no per-class table, no confusion; leaks where there are any."""
    data = result.to_json()
    return {name: data[name] for name in ("n", "metrics", "leaks") if name != "leaks" or data[name]}
