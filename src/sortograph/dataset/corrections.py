"""Corrections that people made of a model's answers: a folder with a table and the photos that it speaks of.

`sortograph serve --corrections DIR` writes one. Photos are known by their content; what was said last counts.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sortograph.dataset.reading import Columns
from sortograph.dataset.units import units
from sortograph.errors import DataError, PhotoError, UsageError, counted, listed, nearest
from sortograph.files import unguard
from sortograph.images.archive import is_archive
from sortograph.images.inspect import read_bytes
from sortograph.images.names import composed, natural_key
from sortograph.records import LOOK, DatasetIndex, Rejected

TABLE = "corrections.csv"
_NEEDED = ("sha256", "path", "label")
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Correction:
    """The photo with this content shows `label`; a copy of it lies at `path` below the folder, posix."""

    sha256: str
    path: str
    label: str


@dataclass(frozen=True, slots=True)
class Corrected:
    """index  with the corrections; relabelled, added  counts; left_out  paths and why"""

    index: DatasetIndex
    relabelled: int
    added: int
    left_out: tuple[Rejected, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        done = f"corrections: {counted(self.relabelled, 'photo')} relabelled, {self.added} added to train"
        reasons = dict.fromkeys(one.reason for one in self.left_out)
        return (done, *(self._left_out(reason) for reason in reasons))

    def _left_out(self, reason: str) -> str:
        paths = [one.path for one in self.left_out if one.reason == reason]
        were = "correction is" if len(paths) == 1 else "corrections are"
        return f"{len(paths)} {were} left out, {reason}: {listed(paths, 3)}"


def read_corrections(folder: Path, classes: Sequence[str]) -> tuple[list[Correction], tuple[Rejected, ...]]:
    """What the table of a folder says last of each photo, in the order of their first lines; and what is left
    out of it, since its label is none of `classes`.

    Raises DataError, with all mistakes of one kind at once: no such table, missing columns, contents that are
    no SHA-256, paths that lead out of the folder, labels none of which is one of `classes`.
    """
    table = folder / TABLE
    rows = _rows(table)
    _refuse(
        [
            f"line {line} ({row['sha256'][:20]!r})"
            for line, row in rows
            if not _SHA256.fullmatch(row["sha256"])
        ],
        "contents that are no SHA-256",
        table,
    )
    _refuse(
        [f"line {line} ({row['path']!r})" for line, row in rows if _leads_out(row["path"])],
        "paths that lead out of the folder",
        table,
    )
    said = {row["sha256"]: Correction(row["sha256"], row["path"], row["label"]) for _, row in rows}
    known = [one for one in said.values() if one.label in classes]
    unknown = dict.fromkeys(one.label for one in said.values() if one.label not in classes)
    if unknown and not known:
        named = listed(f"{name!r}{nearest(name, classes)}" for name in unknown)
        raise DataError(
            f"corrected to what is no class: {named}",
            where=str(table),
            expected=f"one of {listed(classes)}",
            fix="correct the table, or add a folder of photos of the new class",
        )
    others = (one for one in said.values() if one.label in unknown)
    return known, tuple(Rejected(one.path, _unfit(one.label, classes)) for one in others)


def _unfit(label: str, classes: Sequence[str]) -> str:
    return f"since its label {label!r} is no class of these photos{nearest(label, classes)}"


def joined(index: DatasetIndex, folder: Path, new: Sequence[Correction], columns: Columns) -> DatasetIndex:
    """The index with other photos, not in any split yet, behind its own, below a root that both share.

    columns: what was read of the new photos, a line each, all readable
    Raises UsageError for photos in an archive, or on another drive.
    """
    if not new:
        return index
    root, below, beside = _shared_root(index.root, folder)
    number = {name: k for k, name in enumerate(index.classes)}
    has_looks = len(index.looks) == len(index)
    looks = np.concatenate([index.looks, columns.looks]) if has_looks else np.zeros(0, dtype=LOOK)
    return replace(
        index,
        root=root,
        paths=(*(below + path for path in index.paths), *(beside + one.path for one in new)),
        labels=np.concatenate([index.labels, np.array([number[one.label] for one in new], dtype=np.int64)]),
        groups=(*index.groups, *[""] * len(new)),
        splits=(*index.splits, *[""] * len(new)),
        sha256=(*index.sha256, *columns.sha256),
        sizes=np.concatenate([index.sizes, columns.sizes]),
        looks=looks,
        twins=(
            *(below + twin if twin else "" for twin in index.twins),
            *([""] * len(new) * bool(index.twins)),
        ),
        rejected=tuple(replace(one, path=below + one.path) for one in index.rejected),
    )


def applied(index: DatasetIndex, corrections: Sequence[Correction], near: Sequence[str] = ()) -> Corrected:
    """Labels as they were corrected; photos of no split go to train.

    near: near duplicates as `twins` of an index, which count for photos of no split alone; () for those of
        the index

    Nothing whose content, group or near duplicate is in test is relabelled or added, so that test stays what
    it was; nothing is added whose kin is in validation.
    """
    label_of = {one.sha256: one.label for one in corrections}
    kin = _splits_of_kin(index)
    kin_of_new = _splits_of_kin(replace(index, twins=tuple(near))) if near else kin
    number = {name: k for k, name in enumerate(index.classes)}
    labels, splits = index.labels.copy(), list(index.splits)
    relabelled, dropped, left_out = 0, [], []
    for row, sha256 in enumerate(index.sha256):
        is_new, wanted = not splits[row], label_of.get(sha256)
        reason = _reason((kin_of_new if is_new else kin)[row], is_new=is_new)
        if wanted is None or (not is_new and labels[row] == number[wanted]):
            continue
        if reason:
            left_out.append(Rejected(index.paths[row], reason))
            dropped += [row] * is_new
            continue
        relabelled += not is_new
        labels[row], splits[row] = number[wanted], splits[row] or "train"
    added = sum(not before for before in index.splits) - len(dropped)
    keep = np.setdiff1d(np.arange(len(index)), dropped)
    made = replace(index, labels=labels, splits=tuple(splits))[keep]
    return Corrected(_in_order(made), relabelled, added, tuple(left_out))


def _reason(kin: set[str], *, is_new: bool) -> str:
    if "test" in kin:
        return "since it or a near duplicate is in test, which is to stay as it is"
    if is_new and "validation" in kin:
        return "since a near duplicate is in validation"
    return ""


def _splits_of_kin(index: DatasetIndex) -> list[set[str]]:
    """For each row the splits that it, or what belongs to it, is in."""
    found: list[set[str]] = [set() for _ in index.paths]
    for unit in units(index, range(len(index)), 0):
        kin = {index.splits[row] for row in unit.rows}
        for row in unit.rows:
            found[row] = kin
    return found


def _in_order(index: DatasetIndex) -> DatasetIndex:
    order = sorted(range(len(index)), key=lambda row: natural_key(index.paths[row]))
    rows: NDArray[np.int64] = np.array(order, dtype=np.int64)
    return index[rows]


def _shared_root(root: Path, folder: Path) -> tuple[Path, str, str]:
    """The folder above both, and what leads from there to each of them, "" or ending in a slash."""
    if is_archive(root):
        raise UsageError(
            "corrected photos cannot be added to an archive",
            where=str(root),
            fix="unpack it, and train on the folder",
        )
    one, other = (Path(os.path.realpath(place)) for place in (root, folder))
    try:
        shared = Path(os.path.commonpath([one, other]))
    except ValueError:  # drives of Windows
        raise UsageError(
            "the photos and the corrections are on different drives",
            where=f"{root}, {folder}",
            fix="copy the folder of corrections beside the photos",
        ) from None
    ways = [place.relative_to(shared).as_posix() for place in (one, other)]
    below, beside = ("" if way == "." else f"{way}/" for way in ways)
    return shared, below, beside


def _rows(table: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        text = read_bytes(table).decode("utf-8-sig", "surrogateescape")
    except PhotoError as error:
        raise _no_table(error.what, table) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [(reader.line_num, cells) for cells in reader if any(cells)]
    except csv.Error as error:
        raise _no_table(f"not a CSV file ({error})", table) from None
    header = [cell.strip() for cell in lines[0][1]] if lines else []
    missing = [name for name in _NEEDED if name not in header]
    if missing:
        raise _no_table(f"no column {', '.join(map(repr, missing))}", table)
    return [(line, _row(dict(zip(header, cells, strict=False)))) for line, cells in lines[1:]]


def _row(cells: dict[str, str]) -> dict[str, str]:
    found = {name: unguard(cells.get(name, "").strip()) for name in _NEEDED}
    return {**found, "label": composed(found["label"])}


def _leads_out(path: str) -> bool:
    parts = path.replace("\\", "/").split("/")
    return not path or ".." in parts or "\0" in path or ":" in parts[0] or not parts[0]


def _refuse(mistakes: Sequence[str], what: str, table: Path) -> None:
    if mistakes:
        raise DataError(f"{what}: {listed(mistakes)}", where=str(table), fix="correct these lines")


def _no_table(what: str, table: Path) -> DataError:
    return DataError(
        what,
        where=str(table),
        expected=f"the folder that was given to sortograph serve --corrections, with {TABLE} in it",
        fix="check the path of the corrections",
    )
