"""Fewer photos than there are, since the time did not suffice: which ones, and what is said of it."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sortograph.dataset.leaks import label_notes, leak_notes
from sortograph.records import DatasetIndex

Rows = NDArray[np.int64]
# Photos that there must be: to train on, of each class and in all; of each other split.
TAUGHT, TAUGHT_IN_ALL, JUDGED = 4, 100, 30
_MARK = "since the budget ended"


def teaching_order(index: DatasetIndex, seed: int) -> Rows:
    """Training photos, int64 (n,): one of each class, then a second of each, and so on.

    Whatever number of them is taken, no class has more than one photo above another that has any left. Drawn
    by seed and content: neither names nor the order of files have a say.
    """
    return _ordered(index, index.rows("train"), seed, lambda rank, _count: float(rank))


def judging_order(index: DatasetIndex, seed: int) -> Rows:
    """Validation and test photos, int64 (n,): first a few of both splits, then the others of both alike.

    Whatever number of a split is taken, the classes have about the shares that they have in all of it.
    """
    placed: list[tuple[float, int]] = []
    for split in ("validation", "test"):
        rows = index.rows(split)
        order = _ordered(index, rows, seed, lambda rank, count: (rank + 0.5) / count)
        places = enumerate(order.tolist())
        placed += [(0.0 if place < JUDGED else place / len(order), row) for place, row in places]
    return np.array([row for _, row in sorted(placed, key=lambda one: one[0])], dtype=np.int64)


def at_least(index: DatasetIndex, teaching: Rows, judging: Rows) -> Rows:
    """The beginnings of both orders that nothing can be done without."""
    counts = [min(JUDGED, len(index.rows(split))) for split in ("validation", "test")]
    labels = index.labels[teaching]
    sizes = np.unique(labels, return_counts=True)[1]
    few = int(np.minimum(sizes, max(TAUGHT, math.ceil(TAUGHT_IN_ALL / max(1, len(sizes))))).sum())
    return np.concatenate([judging[: sum(counts)], teaching[:few]])


def _ordered(index: DatasetIndex, rows: Rows, seed: int, key: Callable[[int, int], float]) -> Rows:
    """By `key` of the place within the class, as drawn, and of the size of the class; then as drawn."""
    classes: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for row in rows.tolist():
        classes[int(index.labels[row])].append((_draw(index.sha256[row], seed), row))
    keyed = [
        (key(rank, len(members)), draw, row)
        for members in classes.values()
        for rank, (draw, row) in enumerate(sorted(members))
    ]
    return np.array([row for _, _, row in sorted(keyed)], dtype=np.int64)


def _draw(sha256: str, seed: int) -> str:
    return hashlib.sha256(f"thinned {seed} {sha256}".encode()).hexdigest()


def thinned(index: DatasetIndex, rows: Iterable[int]) -> DatasetIndex:
    """The index with these rows alone, which it says in its notes; leaks are counted among them."""
    chosen = index[np.array(sorted(rows), dtype=np.int64)]
    old = {*leak_notes(index), *label_notes(index)}
    notes = [note for note in index.notes if note not in old]
    return replace(chosen, notes=(*notes, *_told(index, chosen), *leak_notes(chosen), *label_notes(chosen)))


def _told(index: DatasetIndex, chosen: DatasetIndex) -> list[str]:
    counts = {
        split: (len(chosen.rows(split)), len(index.rows(split))) for split in ("train", "validation", "test")
    }
    shown = {split: f"{some:,} of {every:,}" for split, (some, every) in counts.items() if some < every}
    notes = []
    if "train" in shown:
        most = int(np.bincount(chosen.labels[chosen.rows("train")]).max())
        notes.append(
            f"trained on {shown['train']} training photos {_MARK}: drawn by content, at most {most} of each "
            "class"
        )
    if judged := [f"{shown[split]} {split} photos" for split in ("test", "validation") if split in shown]:
        shares = "drawn by content, in the shares of the classes"
        notes.append(f"judged on {' and '.join(judged)} {_MARK}: {shares}")
    return notes


def thinning_notes(index: DatasetIndex) -> tuple[str, ...]:
    """Those of the notes that say that there are fewer photos than there could be."""
    return tuple(note for note in index.notes if _MARK in note)


def is_thinned(told: Iterable[str]) -> bool:
    """Whether photos were left out, since the time did not suffice; told: notes of an index, or decisions."""
    return any(_MARK in line for line in told)


def as_thinned(index: DatasetIndex, before: DatasetIndex) -> DatasetIndex:
    """The index with the photos that `before` kept of it; as it is where nothing was left out, or more has
    changed since."""
    if not is_thinned(before.notes):
        return index
    kept = set(before.paths)
    some = index[np.array([path in kept for path in index.paths], dtype=np.bool_)]
    return replace(some, notes=before.notes) if some.fingerprint == before.fingerprint else index
