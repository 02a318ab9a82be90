"""Corrections on their way into training: read, joined with the photos, applied."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sortograph.api.reading import Photos, with_twins
from sortograph.dataset.corrections import Corrected, applied, joined, read_corrections
from sortograph.dataset.listing import Entry
from sortograph.dataset.reading import Columns, Keeper, read_entries
from sortograph.recipe import Recipe
from sortograph.records import DatasetIndex, Progress, Rejected

_OTHER = "its content is not what the table says"


def corrected(
    photos: Photos, folder: Path, settings: Recipe, progress: Progress, keeper: Keeper | None = None
) -> Photos:
    """The photos with what people have corrected, cut as they were; what was done is told in their notes.

    Raises DataError where the table cannot be used, UsageError where the photos cannot be joined.
    """
    index = photos.index
    every, unfit = read_corrections(folder, index.classes)
    known = set(index.sha256)
    new = [one for one in every if one.sha256 not in known]
    columns = read_entries(folder, [Entry(one.path, one.label) for one in new], keeper, progress)
    good = [row for row, one in enumerate(new) if columns.sha256[row] == one.sha256]
    reasons = [(one, columns.reasons[row] or _OTHER) for row, one in enumerate(new) if row not in set(good)]
    whole = joined(index, folder, [new[row] for row in good], _some(columns, good))
    near: tuple[str, ...] = ()
    if len(whole) > len(index):
        found, _ = with_twins(whole, progress)
        near = found.twins
        whole = found if settings.split.near_duplicates == "together" else whole
    done = applied(whole, every, near)
    done = replace(done, left_out=(*(_placed(one, whole.root, folder) for one in unfit), *done.left_out))
    gone = [_placed(Rejected(one.path, why), whole.root, folder) for one, why in reasons]
    return replace(photos, index=_noted(done, gone))


def _placed(left: Rejected, root: Path, folder: Path) -> Rejected:
    """With its path from the root of the photos, where the folder lies below it."""
    above, place = (Path(os.path.realpath(one)) for one in (root, folder))
    below = place.relative_to(above) if place.is_relative_to(above) else Path(place.name)
    return replace(left, path=(below / left.path).as_posix())


def _some(columns: Columns, rows: Sequence[int]) -> Columns:
    pick = list(rows)
    return Columns(
        [columns.sha256[row] for row in pick],
        columns.sizes[pick],
        columns.looks[pick],
        [columns.reasons[row] for row in pick],
    )


def _noted(done: Corrected, gone: Sequence[Rejected]) -> DatasetIndex:
    index = done.index
    return replace(index, notes=(*index.notes, *done.notes), rejected=(*index.rejected, *gone))
