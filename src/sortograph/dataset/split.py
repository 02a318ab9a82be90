"""Cutting an index into train, validation and test: seeded, stratified, groups never divided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sortograph.dataset.leaks import label_notes, leak_notes
from sortograph.dataset.quotas import Quota, quotas
from sortograph.dataset.units import Unit, bonds, units
from sortograph.errors import DataError, UsageError, listed
from sortograph.records import DatasetIndex

_CUT_ORDER = ("test", "validation")


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """What to cut where no split was given: fractions of the photos, 0 for none.

    Raises UsageError for fractions that leave nothing to train on.
    """

    seed: int
    validation: float = 0.15
    test: float = 0.15

    def __post_init__(self) -> None:
        if not (self.validation >= 0 and self.test >= 0 and self.validation + self.test < 1):
            raise UsageError(
                f"validation = {self.validation} and test = {self.test} cannot be cut",
                expected="fractions from 0 that add up to less than 1",
                fix="choose smaller fractions, such as 0.15 and 0.15",
            )


def cut(index: DatasetIndex, plan: SplitPlan) -> DatasetIndex:
    """The index with every photo in a split. Splits that are given stay as they are.

    A missing test split is drawn first, a missing validation split next, both from the photos that are in
    train or in no split. Class shares are kept; photos of one group or of one content, and near duplicates,
    stay together, which goes before exact shares. What is so tied to a given split is never cut off, but
    stays in train. Every cut, and every leak between the splits, is told in `notes`.

    Raises DataError when splits are given but none of them is for training.
    """
    given = {split for split in index.splits if split}
    pool = [row for row, split in enumerate(index.splits) if split in ("", "train")]
    if not pool:
        raise DataError(
            f"no training photos, only {' and '.join(sorted(given)) or 'none at all'}",
            where=str(index.root),
            expected="photos to train on",
            fix="add a train folder, or mark lines of the CSV file as train",
        )
    fractions = {split: getattr(plan, split) for split in _CUT_ORDER if split not in given}
    placed = _place(index, pool, fractions, plan.seed)
    splits = tuple(placed.get(row, split) for row, split in enumerate(index.splits))
    done = replace(index, splits=splits)
    cuts = [split for split, fraction in fractions.items() if fraction > 0]
    notes = [
        *_cut_notes(done, cuts, len(pool), plan, of_train="train" in given),
        *_thin_notes(done, cuts, pool),
        *leak_notes(done),
        *label_notes(done),
    ]
    return replace(done, notes=index.notes + tuple(notes))


def _place(index: DatasetIndex, pool: list[int], fractions: dict[str, float], seed: int) -> dict[int, str]:
    """row → split for the photos of the pool."""
    # By name: the cut must not hang on the order in which the classes are given.
    names = sorted({int(index.labels[row]) for row in pool}, key=lambda k: index.classes[k] if k >= 0 else "")
    number = {label: k for k, label in enumerate(names)}
    sizes = Counter(number[int(index.labels[row])] for row in pool)
    bins = _Bins(quotas([sizes[k] for k in range(len(names))], fractions))
    bound = _bound_by_given(index, pool)
    pieces = [
        _Piece(
            unit=unit,
            classes={number[label]: count for label, count in unit.classes.items()},
            stays=not bound.isdisjoint(unit.rows),
        )
        for unit in units(index, pool, seed)
    ]
    for piece in sorted(pieces, key=lambda piece: not piece.stays):
        bins.add(piece, "train" if piece.stays else bins.best(piece.classes, len(piece.unit) > 1))
    for k in range(len(names)):
        bins.mend(k, sizes[k])
    return {
        row: split for split, pieces in bins.pieces.items() for piece in pieces for row in piece.unit.rows
    }


def _bound_by_given(index: DatasetIndex, pool: Sequence[int]) -> set[int]:
    """Rows of the pool that are tied to a photo of another given split."""
    outside = {bond for row in set(range(len(index))).difference(pool) for bond in bonds(index, row)}
    return {row for row in pool if not outside.isdisjoint(bonds(index, row))}


@dataclass(frozen=True, slots=True)
class _Piece:
    """A unit with its photos per class, classes numbered as in the quotas; `stays`: in train, that is."""

    unit: Unit
    classes: dict[int, int]
    stays: bool


class _Bins:
    """The splits while they are filled: what each holds, and what it may still take of each class."""

    def __init__(self, quota: dict[str, Quota]) -> None:
        self.quota = quota
        self.left = {split: list(numbers) for split, numbers in quota.items()}
        self.pieces: dict[str, list[_Piece]] = {split: [] for split in quota}
        self.held: Counter[tuple[str, int]] = Counter()  # pieces that hold a class

    def add(self, piece: _Piece, split: str) -> None:
        self.pieces[split].append(piece)
        for k, count in piece.classes.items():
            self.left[split][k] -= count
            self.held[split, k] += 1

    def best(self, classes: dict[int, int], several: bool) -> str:
        """The split that such a unit fits best: least over the quotas, then emptiest; a single photo goes
        to the first split that still lacks its class."""
        over = {
            split: sum(max(0, count - left[k]) for k, count in classes.items())
            for split, left in self.left.items()
        }
        least = min(over.values())
        fitting = [split for split, excess in over.items() if excess == least]
        if least > 0 and "train" in fitting:
            return "train"
        return max(fitting, key=lambda split: self._room(split, classes)) if several else fitting[0]

    def _room(self, split: str, classes: dict[int, int]) -> float:
        return sum(count * self.left[split][k] / max(1, self.quota[split][k]) for k, count in classes.items())

    def mend(self, k: int, size: int) -> None:
        """Give class k to splits that lack it, where another split has several units of it.

        Train comes first and may empty another split of the class: what is not taught cannot be judged.
        """
        if size < 3:
            return
        for split in ("train", *(name for name in self.quota if name != "train")):
            if not self.held[split, k]:
                movable = self._movable(split, k)
                if movable:
                    source, piece = min(movable, key=lambda pair: (len(pair[1].unit), pair[1].unit.draw))
                    self._move(piece, source, split)

    def _movable(self, target: str, k: int) -> list[tuple[str, _Piece]]:
        """Pieces with class k, and where they are, that other splits can do without."""
        keep = 0 if target == "train" else 1
        return [
            (split, piece)
            for split in self.quota
            if split != target and self.held[split, k] > keep
            for piece in self.pieces[split]
            if k in piece.classes
            and not piece.stays
            and all(self.held[split, other] > 1 for other in piece.classes if other != k)
        ]

    def _move(self, piece: _Piece, source: str, target: str) -> None:
        self.pieces[source].remove(piece)
        for k, count in piece.classes.items():
            self.left[source][k] += count
            self.held[source, k] -= 1
        self.add(piece, target)


def _cut_notes(
    index: DatasetIndex, cuts: Sequence[str], pool: int, plan: SplitPlan, *, of_train: bool
) -> list[str]:
    source = "photos of the train split" if of_train else "photos"
    sizes = {split: len(index.rows(split)) for split in cuts}
    return [
        f"{split}: {size} of {pool} {source} put aside ({100 * size / pool:.2g} %, seed {plan.seed})"
        for split, size in sizes.items()
    ]


def _thin_notes(index: DatasetIndex, cuts: Sequence[str], pool: list[int]) -> list[str]:
    """Classes of the pool that a cut left out: too few photos, or too few groups."""
    if not cuts:
        return []
    held = {(index.splits[row], int(index.labels[row])) for row in pool}
    labels = sorted({label for _, label in held if label >= 0})
    lacking = {
        split: [repr(index.classes[label]) for label in labels if (split, label) not in held]
        for split in ("train", *cuts)
    }
    return [
        f"{split}: too few photos or groups to hold {listed(names)}"
        for split, names in lacking.items()
        if names
    ]
