"""Corrections on their way into training: read, joined with the photos, applied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sortograph.api.reading import Photos, with_twins
from sortograph.dataset.corrections import Corrected, Correction, applied, joined, read_corrections
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
    every = read_corrections(folder, index.classes)
    known = set(index.sha256)
    new = [one for one in every if one.sha256 not in known]
    columns = read_entries(folder, [Entry(one.path, one.label) for one in new], keeper, progress)
    good = [row for row, one in enumerate(new) if columns.sha256[row] == one.sha256]
    reasons = [(one, columns.reasons[row] or _OTHER) for row, one in enumerate(new) if row not in set(good)]
    whole = joined(index, folder, [new[row] for row in good], _some(columns, good))
    if len(whole) > len(index) and settings.split.near_duplicates == "together":
        whole, _ = with_twins(whole, progress)
    done = applied(whole, every)
    return replace(photos, index=_noted(done, reasons))


def _some(columns: Columns, rows: Sequence[int]) -> Columns:
    pick = list(rows)
    return Columns(
        [columns.sha256[row] for row in pick],
        columns.sizes[pick],
        columns.looks[pick],
        [columns.reasons[row] for row in pick],
    )


def _noted(done: Corrected, reasons: Sequence[tuple[Correction, str]]) -> DatasetIndex:
    rejected = tuple(Rejected(one.path, why) for one, why in reasons)
    index = done.index
    return replace(index, notes=(*index.notes, *done.notes), rejected=(*index.rejected, *rejected))
