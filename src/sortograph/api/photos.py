"""index: what is in a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sortograph.dataset import SplitPlan, cut, scan
from sortograph.errors import StorageError, UsageError
from sortograph.files import make_folder, storage_errors, write_atomic
from sortograph.images.inspect import read_bytes
from sortograph.images.preprocess import prepare
from sortograph.recipe import DEFAULT, load_recipe
from sortograph.records import DatasetIndex, PreprocessSpec, Progress, silent

_SAMPLE = PreprocessSpec(size=(160, 160), mode="pad")
# Right after the header, where `draw_sheet` has it written.
_OURS = b"tEXtSoftware\0sortograph"
_HEAD = 64


def index(
    photos: str | os.PathLike[str],
    *,
    recipe: str = DEFAULT,
    overrides: Sequence[str] = (),
    classes: Sequence[str] | None = None,
    split_seed: int | None = None,
    validation: float | None = None,
    test: float | None = None,
    grid: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> DatasetIndex:
    """Read a folder or CSV file of labelled photos and cut it as training with the same recipe does.

    recipe, overrides, classes: as `train` has them
    split_seed, validation, test: short for overrides of split.seed, split.validation and split.test,
    which count where the folder has no splits of its own
    grid: a PNG file to draw some photos with their names into

    Raises DataError when the photos cannot be used as they lie, RecipeError, UsageError for a grid among
    the photos, StorageError when it cannot be written.
    """
    cuts = split_settings(seed=split_seed, validation=validation, test=test)
    settings = load_recipe(recipe, [*overrides, *cuts])
    target = None if grid is None else picture_file(Path(grid))
    if target is not None:
        check_place(Path(photos), target, by="--grid")
    names = settings.data.classes if classes is None else classes
    plan = SplitPlan(settings.split.seed, settings.split.validation, settings.split.test)
    found = cut(scan(Path(photos), classes=names or None, progress=progress), plan)
    if target is not None:
        _draw(found, target, plan.seed)
    return found


def split_settings(**values: float | None) -> list[str]:
    """
    >>> split_settings(seed=5, validation=None, test=0.2)
    ['split.seed=5', 'split.test=0.2']
    """
    return [f"split.{name}={value}" for name, value in values.items() if value is not None]


def check_place(photos: Path, place: Path, *, by: str = "--out") -> None:
    """Nothing is ever written among the user's photos: the next scan would take it for photos.

    by: how another place is chosen. Raises UsageError.
    """
    if lies_among(photos, place):
        raise UsageError(
            "what is written would lie among the photos",
            where=str(place),
            expected="a place outside of the folder of photos",
            fix=f"choose another place with {by}, or change to another folder",
        )


def lies_among(photos: Path, place: Path) -> bool:
    """Whether a place is the folder of photos or lies below it; however it is spelled, or linked."""
    if not os.path.isdir(photos):  # noqa: PTH112, Path.is_dir raises for names that are too long
        return False
    resolved = place.resolve()
    return any(_is_same(each, photos) for each in (resolved, *resolved.parents))


def _is_same(place: Path, other: Path) -> bool:
    try:
        return place.samefile(other)
    except (OSError, ValueError):
        return False


def _draw(found: DatasetIndex, target: Path, seed: int) -> None:
    from sortograph.reporting import sample_sheet

    make_folder(target.parent)
    write_atomic(target, sample_sheet(found, lambda rows: _pixels(found, rows), seed))


def picture_file(path: Path) -> Path:
    """Refuses to write over anything but a sheet that we drew. Raises UsageError, StorageError."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"a grid named {path.name!r}", expected="a file name that ends in .png")
    with storage_errors(path):
        in_the_way = path.exists() and not (path.is_file() and _is_ours(path))
    if in_the_way:
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
