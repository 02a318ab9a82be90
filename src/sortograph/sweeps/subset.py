"""Fewer photos to train on: the same ones for every run, validation and test untouched."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sortograph.errors import DataError, PhotoError
from sortograph.files import make_folder, write_atomic
from sortograph.images.inspect import read_photo
from sortograph.records import DatasetIndex, Progress, Step

FOLDER = "photos"
_TOLD = 50


def chosen(index: DatasetIndex, per_class: int) -> NDArray[np.int64]:
    """Rows of all validation and test photos, and of at most so many training photos of each class.

    Drawn by content alone: the order of files has no say, and a larger number has all of a smaller one.
    """
    order = sorted(index.rows("train").tolist(), key=lambda row: _draw(index.sha256[row]))
    taken: dict[int, list[int]] = defaultdict(list)
    for row in order:
        if len(taken[int(index.labels[row])]) < per_class:
            taken[int(index.labels[row])].append(row)
    kept = {row for rows in taken.values() for row in rows}
    return np.array(
        [row for row, split in enumerate(index.splits) if split != "train" or row in kept], dtype=np.int64
    )


def _draw(sha256: str) -> str:
    return hashlib.sha256(f"subset {sha256}".encode()).hexdigest()


def write_subset(index: DatasetIndex, per_class: int, folder: Path, progress: Progress) -> Path:
    """Copies of the chosen photos below `folder`/photos, and the table that lists them with their splits.

    Copies, since a table names only photos beside it, and nothing is ever written among the user's.
    Raises DataError where a photo has changed or gone, StorageError.
    """
    place, rows = folder / FOLDER, chosen(index, per_class)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "split", "group"])
    for done, row in enumerate(rows.tolist(), start=1):
        path = index.paths[row]
        _copy(index, row, place / path)
        writer.writerow([path, index.classes[index.labels[row]], index.splits[row], index.groups[row]])
        if done % _TOLD == 0 or done == len(rows):
            progress(Step("copying photos", done, len(rows)))
    table = place / f"train-{per_class}.csv"
    write_atomic(table, text.getvalue().encode())
    return table


def _copy(index: DatasetIndex, row: int, target: Path) -> None:
    if target.is_file():  # of another subset, or of an earlier call: written in one step
        return
    try:
        data = read_photo(index.root, index.paths[row])
    except PhotoError as error:
        raise DataError(f"a photo is gone ({error.what})", where=index.paths[row], fix="try again") from None
    if hashlib.sha256(data).hexdigest() != index.sha256[row]:
        raise DataError("a photo has changed meanwhile", where=index.paths[row], fix="try again")
    make_folder(target.parent)
    write_atomic(target, data)
