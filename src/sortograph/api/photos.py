"""index: what is in a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sortograph.dataset import SplitPlan, cut, scan
from sortograph.errors import StorageError, UsageError
from sortograph.files import make_folder, write_atomic
from sortograph.images.inspect import read_bytes
from sortograph.images.preprocess import prepare
from sortograph.records import DatasetIndex, PreprocessSpec, Progress, silent

_SAMPLE = PreprocessSpec(size=(160, 160), mode="pad")
# Right after the header, where `draw_sheet` has it written.
_OURS = b"tEXtSoftware\0sortograph"
_HEAD = 64


def index(
    photos: str | os.PathLike[str],
    *,
    classes: Sequence[str] | None = None,
    seed: int | None = None,
    validation: float | None = None,
    test: float | None = None,
    grid: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> DatasetIndex:
    """Read a folder or CSV file of labelled photos and cut it into train, validation and test.

    classes: their order; None for natural order
    seed, validation, test: of the cut, where the folder has no splits of its own (0, 0.15, 0.15)
    grid: a PNG file to draw some photos with their names into

    Raises DataError when the photos cannot be used as they lie, UsageError for wrong arguments,
    StorageError when the grid cannot be written.
    """
    defaults = SplitPlan(seed=0)
    plan = SplitPlan(
        seed=defaults.seed if seed is None else seed,
        validation=defaults.validation if validation is None else validation,
        test=defaults.test if test is None else test,
    )
    target = None if grid is None else picture_file(Path(grid))
    found = cut(scan(Path(photos), classes=classes, progress=progress), plan)
    if target is not None:
        from sortograph.reporting import sample_sheet

        make_folder(target.parent)
        write_atomic(target, sample_sheet(found, lambda rows: _pixels(found, rows), plan.seed))
    return found


def check_place(photos: Path, place: Path) -> None:
    """Nothing is ever written among the user's photos: the next scan would take it for photos.

    Raises UsageError.
    """
    root, resolved = photos.resolve(), place.resolve()
    if photos.is_dir() and (resolved == root or root in resolved.parents):
        raise UsageError(
            "what is written would lie among the photos",
            where=str(place),
            expected="a place outside of the folder of photos",
            fix="choose another place with --out, or change to another folder",
        )


def picture_file(path: Path) -> Path:
    """Refuses to write over anything but a sheet that we drew. Raises UsageError, StorageError."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"a grid named {path.name!r}", expected="a file name that ends in .png")
    if path.exists() and not (path.is_file() and _is_ours(path)):
        raise StorageError(
            "would write over something that is not a grid of ours",
            where=str(path),
            fix="choose another name",
        )
    return path


def _is_ours(file: Path) -> bool:
    with file.open("rb") as opened:
        return _OURS in opened.read(_HEAD)


def _pixels(found: DatasetIndex, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.stack([prepare(read_bytes(found.root / found.paths[row]), _SAMPLE) for row in rows])
