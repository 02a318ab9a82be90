"""Photos that are given for evaluation, set against a model and against the photos that its run had."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from sortograph import runs
from sortograph.dataset import scan
from sortograph.errors import DataError, RunError, counted, listed, nearest
from sortograph.records import SPLITS, DatasetIndex, Progress, RunRecord

NEW = "new"


def matched(
    photos: Path, known: tuple[str, ...], progress: Progress, *, follow_links: bool = False
) -> DatasetIndex:
    """The photos, with labels that count in the order of the classes that the model knows.

    Raises DataError for other classes, and where `scan` does.
    """
    found = scan(photos, for_training=False, follow_links=follow_links, progress=progress)
    unknown = [f"{name!r}{nearest(name, known)}" for name in found.classes if name not in known]
    if unknown:
        raise DataError(
            f"classes that the model does not know: {listed(unknown)}",
            where=str(photos),
            expected=f"some of {', '.join(known)}",
            fix="rename these folders, or leave them out",
        )
    number = np.array([known.index(name) for name in found.classes], dtype=np.int64)
    return replace(found, classes=known, labels=number[found.labels])


def placed(index: DatasetIndex, record: RunRecord | None) -> tuple[DatasetIndex, tuple[str, ...]]:
    """Each photo in the split that the run had it in, by content; else "new". With notes about it.

    Of several splits it is the one that the model owes most to: train before validation before test.
    Raises RunError when the index of the run is damaged or was altered.
    """
    if record is None:
        note = (
            "a model.onnx does not say which photos it was trained on: give its run folder to tell them apart"
        )
        return replace(index, splits=(NEW,) * len(index)), (note,)
    of_run = run_index(record)
    places: dict[str, set[str]] = {}
    for content, split in zip(of_run.sha256, of_run.splits, strict=True):
        places.setdefault(content, set()).add(split)
    splits = tuple(_worst(places.get(content, set())) for content in index.sha256)
    counts = ", ".join(f"{splits.count(s)} {s}" for s in (*SPLITS, NEW) if s in splits)
    twins = dict(zip(of_run.sha256, of_run.twins, strict=True)) if of_run.twins else {}
    index = replace(index, splits=splits, twins=tuple(twins.get(content, "") for content in index.sha256))
    notes = (
        f"photos by the split that the run had them in: {counts}",
        *_several_note(index, places),
        *_label_note(index, of_run),
        *_near_note(index, of_run),
    )
    return index, notes


def _worst(splits: set[str]) -> str:
    return next((split for split in SPLITS if split in splits), NEW)


def _several_note(index: DatasetIndex, places: Mapping[str, set[str]]) -> tuple[str, ...]:
    several = sum(len(places.get(content, ())) > 1 for content in index.sha256)
    if not several:
        return ()
    photos = counted(several, "photo")
    return (f"in several splits of the run: {photos}, counted for train before validation before test",)


def _label_note(index: DatasetIndex, of_run: DatasetIndex) -> tuple[str, ...]:
    labels: dict[str, set[str]] = {}
    for content, name in zip(of_run.sha256, _names(of_run), strict=True):
        labels.setdefault(content, set()).add(name)
    pairs = zip(index.sha256, _names(index), strict=True)
    other = sum(content in labels and name not in labels[content] for content, name in pairs)
    if not other:
        return ()
    return (f"with another label than in the run: {counted(other, 'photo')}, judged by the label given now",)


def _near_note(index: DatasetIndex, of_run: DatasetIndex) -> tuple[str, ...]:
    """What near duplicates of training photos that are not given here mean for the others; and new photos."""
    taught = {of_run.twins[row] for row in of_run.rows("train")} - {""} if of_run.twins else set()
    others = np.flatnonzero([split != "train" for split in index.splits])
    near = np.array([index.twins[row] in taught for row in others], dtype=np.bool_)
    hidden = int((near & ~index.held_by("train", others)).sum())
    notes = []
    if hidden:
        notes.append(
            f"nearly the same as training photos of the run: {counted(hidden, 'photo')}; scores are too good"
        )
    if NEW in index.splits:
        notes.append("whether new photos are nearly the same as those of the run is not looked for")
    return tuple(notes)


def _names(index: DatasetIndex) -> list[str]:
    return [index.classes[label] if label >= 0 else "" for label in index.labels.tolist()]


def run_index(record: RunRecord, photos: Path | None = None) -> DatasetIndex:
    """The index that the run began with; `photos` is where they are now, below the root of a run with
    corrections.

    Raises RunError when it is damaged, or was altered since.
    """
    index = runs.read_data(record.folder, photos)
    if index.fingerprint != record.fingerprint:
        raise RunError(
            "index.csv or data.json is not what the run wrote",
            where=str(record.folder),
            expected=f"photos, labels and splits with the fingerprint {record.fingerprint[:12]}… of run.json",
            fix="restore both files from a copy, or train again",
        )
    return index if photos is None else replace(index, root=_root(index, photos))


def _root(index: DatasetIndex, photos: Path) -> Path:
    """The folder of the photos, or above it, that the paths begin at."""
    if photos.is_file():
        return photos
    some = {index.paths[row] for row in (0, len(index) // 2, -1)}
    places = (photos, *Path(os.path.realpath(photos)).parents)
    return next((place for place in places if any((place / path).exists() for path in some)), photos)
