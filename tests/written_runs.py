"""Run folders written without any training: their answers are what a test says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sortograph import runs
from sortograph.dataset import write_index
from sortograph.dataset.halves import reserved
from sortograph.evaluation import groups_of, judge_all, trust
from sortograph.records import SPLITS, DatasetIndex, EpochRow, PredictionTable, RunRecord, Trust

CLASSES = ("cat", "dog", "새")
N = 240  # 120 train, 60 validation, 60 test


def index_of(n: int = N, classes: tuple[str, ...] = CLASSES, **columns: Any) -> DatasetIndex:
    labels = np.arange(n, dtype=np.int64) % len(classes)
    base: dict[str, Any] = {
        "root": Path("photos"),
        "classes": classes,
        "paths": tuple(f"{classes[k]}/{row:03}.jpg" for row, k in enumerate(labels)),
        "labels": labels,
        "groups": ("",) * n,
        "splits": tuple(("train", "train", "validation", "test")[row // 3 % 4] for row in range(n)),
        "sha256": tuple(f"{row:064x}" for row in range(n)),
        "sizes": np.full((n, 2), 32, dtype=np.int32),
        "twins": ("",) * n,
    }
    return DatasetIndex(**base | columns)


def write_run(
    folder: Path,
    index: DatasetIndex,
    wrong: Mapping[str, Sequence[int]],
    *,
    size: int = 1000,
    status: str = "finished",
    leave_out: Sequence[str] = (),
    recipe: Mapping[str, Any] | None = None,
    calibrated: str = "",
) -> Path:
    """A run that named all photos right but the `wrong`: split → which of its photos, as they stand.

    calibrated: on "all" validation photos, or on the "half" that does not choose, by split.seed of `recipe`
    """
    folder.mkdir(parents=True)
    tables = []
    for split in (split for split in SPLITS if split not in leave_out):
        rows = index.rows(split)
        said = index.labels[rows].copy()
        bad = list(wrong.get(split, ()))
        said[bad] = (said[bad] + 1) % len(index.classes)
        logits = 4 * np.eye(len(index.classes), dtype=np.float32)[said]
        tables.append(PredictionTable(rows, logits, index.labels[rows], index.classes, split))
    evaluation, promised = judge_all(index, tables), None
    if calibrated:
        seed = (recipe or {}).get("split", {}).get("seed", 0)
        chose = reserved(index, index.rows("validation"), seed)
        chose = chose if calibrated == "half" else chose[:0]
        evaluation["validation"] = replace(evaluation["validation"], chose=len(chose))
        promised = _trust(index, next(one for one in tables if one.split == "validation"), chose)
    history = (EpochRow(1, 0.9, 0.6, 0.8, 0.7, 0.1, 1.0, 9.0), EpochRow(2, 0.5, 0.8, 0.6, 0.8, 0.1, 1.0, 9.0))
    record = RunRecord(
        folder.name, folder, {"name": "tiny", "train": {"epochs": 2}, **(recipe or {})}, index.fingerprint, 7,
        {}, history, evaluation, status, 2, 3.0, trust=promised,
    )  # fmt: skip
    write_index(index, folder / "index.csv")
    runs.write_data(folder, index)
    runs.write_history(folder, history)
    runs.write_evaluation(folder, evaluation)
    runs.write_predictions(folder, index, tables)
    runs.write_run(record)
    (folder / "model.onnx").write_bytes(bytes(size))
    return folder


def _trust(index: DatasetIndex, table: PredictionTable, chose: NDArray[np.int64]) -> Trust | None:
    assert table.labels is not None
    free = ~np.isin(table.rows, chose)
    some = PredictionTable(
        table.rows[free], table.logits[free], table.labels[free], table.classes, table.split
    )
    return trust(some, groups_of(index, some.rows))
