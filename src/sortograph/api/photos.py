"""index: what is in a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sortograph.api.reading import read_photos, with_classes
from sortograph.api.writing import check_place, picture_file
from sortograph.files import make_folder, write_atomic
from sortograph.images.inspect import read_photo
from sortograph.images.preprocess import prepare
from sortograph.recipe import DEFAULT, load_recipe
from sortograph.records import DatasetIndex, PreprocessSpec, Progress, silent

_SAMPLE = PreprocessSpec(size=(160, 160), mode="pad")


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
    if classes is not None:
        settings = with_classes(settings, classes)
    found = read_photos(Path(photos), settings, progress).index
    if target is not None:
        _draw(found, target, settings.split.seed)
    return found


def split_settings(**values: float | None) -> list[str]:
    """
    >>> split_settings(seed=5, validation=None, test=0.2)
    ['split.seed=5', 'split.test=0.2']
    """
    return [f"split.{name}={value}" for name, value in values.items() if value is not None]


def _draw(found: DatasetIndex, target: Path, seed: int) -> None:
    from sortograph.reporting import sample_sheet

    make_folder(target.parent)
    write_atomic(target, sample_sheet(found, lambda rows: _pixels(found, rows), seed))


def _pixels(found: DatasetIndex, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.stack([prepare(read_photo(found.root, found.paths[row]), _SAMPLE) for row in rows])
