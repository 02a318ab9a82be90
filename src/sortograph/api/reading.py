"""From a folder of photos to the index that index, audit and train work on: scanned, grouped, cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sortograph.dataset import Ahead, SplitPlan, cut, scan
from sortograph.dataset.groups import with_groups
from sortograph.dataset.reading import Hastened, Keeper
from sortograph.dataset.twins import SIZE, Large, find_twins
from sortograph.errors import DataError
from sortograph.images.crew import shared_crew
from sortograph.recipe import Recipe
from sortograph.records import DatasetIndex, PreprocessSpec, Progress

_ALIGNED = ((PreprocessSpec(size=SIZE), 1.0),)


@dataclass(frozen=True, slots=True)
class Photos:
    """What was read.

    large  groups of near duplicates that are too large to keep together
    given  whether the photos came with splits of their own
    """

    index: DatasetIndex
    large: tuple[Large, ...]
    given: bool


def read_photos(
    photos: Path,
    settings: Recipe,
    progress: Progress,
    *,
    keeper: Keeper | None = None,
    for_training: bool = True,
    ahead: Ahead | None = None,
) -> Photos:
    """Scan, group and cut as the recipe says. Raises DataError, UsageError.

    ahead: photos that were begun for the keeper
    for_training: whether too few photos or classes are refused, as `scan` has it
    """
    found = scan(
        photos,
        keeper=keeper if keeper is None or ahead is None else Hastened(keeper, ahead),
        classes=settings.data.classes or None,
        for_training=for_training,
        follow_links=settings.data.follow_links,
        progress=progress,
    )
    given = any(found.splits)
    found = with_groups(found, settings.split.group_from)
    large: tuple[Large, ...] = ()
    if settings.split.near_duplicates == "together":
        found, large = with_twins(found, progress)
    plan = SplitPlan(settings.split.seed, settings.split.validation, settings.split.test)
    return Photos(cut(found, plan), large, given)


def with_classes(settings: Recipe, classes: Sequence[str]) -> Recipe:
    """The recipe with the classes in this order."""
    data = settings.data.model_copy(update={"classes": tuple(classes)})
    return settings.model_copy(update={"data": data})


def with_twins(index: DatasetIndex, progress: Progress) -> tuple[DatasetIndex, tuple[Large, ...]]:
    """The index with its near duplicates, and groups of them that are too large to keep together."""
    found = find_twins(index, lambda rows: aligned(index, rows), progress)
    return replace(index, twins=found.names), found.large


def aligned(index: DatasetIndex, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Pixels of these photos for a comparison, uint8 (N, 96, 96, 3). Raises DataError when one is gone."""
    paths = [index.paths[row] for row in rows]
    readings = shared_crew().read(index.root, paths, _ALIGNED, look=False)
    pixels = []
    for path, reading in zip(paths, readings, strict=True):
        if not reading.pixels:
            raise DataError(
                f"a photo cannot be used any more ({reading.reason})",
                where=path,
                expected="photos that stay as they are while they are read",
                fix="try again",
            )
        pixels.append(reading.pixels[0])
    return np.stack(pixels)
