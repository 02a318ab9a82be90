"""From trained weights to a judged model.onnx: what is measured is what is shipped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import sortograph
from sortograph.api.job import Job, Made
from sortograph.bundle import guard
from sortograph.bundle.engine import open_session
from sortograph.bundle.golden import golden_photos
from sortograph.bundle.runtime import FILE_NAME, Answers
from sortograph.bundle.store import write_bundle
from sortograph.errors import GateError
from sortograph.evaluation import judge_all
from sortograph.export import check_parity
from sortograph.records import (
    SPLITS,
    BundleManifest,
    DatasetIndex,
    EvaluationResult,
    PredictionTable,
    Progress,
    Step,
)

_BATCH = 32
_PARITY_PHOTOS = 256
_LARGE_PHOTOS = 64  # backbones take tens of milliseconds for one
Run = Callable[[NDArray[np.uint8]], Answers]
Pixels = Callable[[NDArray[np.int64]], NDArray[np.uint8]]


def judge_and_bundle(job: Job, made: Made) -> tuple[dict[str, EvaluationResult], list[PredictionTable]]:
    """Check the graph against what was taught on held-out photos, judge every split, write model.onnx.

    The test photos judge once: not a run that was interrupted and may go on.
    Raises GateError when the exported model answers otherwise than the one that was taught.
    """
    index, where = job.index, str(job.folder / FILE_NAME)
    guard.check(made.graph, where)
    session = open_session(made.graph, where)

    def run(photos: NDArray[np.uint8]) -> Answers:
        return Answers(*session.run(list(guard.OUTPUTS), {guard.INPUT: np.ascontiguousarray(photos)}))

    _check(job, made, run, where)
    tables = [
        _table(job, made, split, run)
        for split in SPLITS
        if made.scored and len(index.rows(split)) and not (split == "test" and made.interrupted)
    ]
    evaluation = judge_all(index, tables)
    manifest = BundleManifest(
        classes=index.classes,
        preprocess=job.pixels.spec,
        fingerprint=index.fingerprint,
        evaluation={split: _short(result) for split, result in evaluation.items()},
        weights_licence=made.licence,
        recipe=made.recipe.name,
        made_with=f"sortograph {sortograph.__version__}",
    )
    golden = run(golden_photos(job.pixels.spec.size)).logits
    if not np.isfinite(golden).all():
        lower = made.recipe.train.learning_rate / 10
        raise GateError(
            "the trained network's answers are not finite numbers: its weights have exploded",
            fix=f"--set train.learning_rate={lower:g} or --set train.clip_norm=1",
        )
    write_bundle(job.folder / FILE_NAME, made.graph, manifest, golden)
    return evaluation, tables


def _table(job: Job, made: Made, split: str, run: Run) -> PredictionTable:
    index = job.index
    if made.known is None:
        return predict_split(index, split, run, lambda rows: job.pixels.evaluation(index, rows), job.progress)
    rows = index.rows(split)
    return PredictionTable(rows, made.known(rows), index.labels[rows], index.classes, split)


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


def predict_split(
    index: DatasetIndex, split: str, run: Run, pixels: Pixels, progress: Progress
) -> PredictionTable:
    """The answers for all photos of one split."""
    rows = index.rows(split)
    logits = []
    for start in range(0, len(rows), _BATCH):
        logits.append(run(pixels(rows[start : start + _BATCH])).logits)
        progress(Step(f"judging {split}", min(start + _BATCH, len(rows)), len(rows)))
    return PredictionTable(rows, np.concatenate(logits), index.labels[rows], index.classes, split)


def _short(result: EvaluationResult) -> dict[str, Any]:
    """What a bundle says of a split: no per-class table, no confusion; leaks where there are any."""
    data = result.to_json()
    return {name: data[name] for name in ("n", "metrics", "leaks") if name != "leaks" or data[name]}
