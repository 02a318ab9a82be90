"""A folder or CSV file of labelled photos → the index that every other room works on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from sortograph.dataset.layouts import LAYOUTS, folder_listing
from sortograph.dataset.listing import Entry, Listing, links_note
from sortograph.dataset.memory import Stamp
from sortograph.dataset.names import check_class_names, shown
from sortograph.dataset.reading import Columns, Hastened, Keeper, coming, read_entries
from sortograph.dataset.table import table_listing
from sortograph.errors import DataError, UsageError, listed, nearest
from sortograph.images.archive import is_archive
from sortograph.images.names import composed, natural_key
from sortograph.records import SPLITS, DatasetIndex, Progress, Rejected, silent

_MISSING = "no such folder or file"
MINIMUM = 3  # photos of one class: one each for training, validation and test


def scan(
    root: Path,
    *,
    keeper: Keeper | Hastened | None = None,
    classes: Sequence[str] | None = None,
    for_training: bool = True,
    follow_links: bool = False,
    progress: Progress = silent,
) -> DatasetIndex:
    """Find the photos of a folder, archive or CSV file, read each of them once, index them in natural order.

    keeper   keeps the pixels of the photos on the way; photos may have been begun for it
    classes  the order of the classes; must name exactly those that are found
    for_training  whether there must be two classes or more, of three readable photos each; else one photo is
                  enough
    follow_links  whether linked folders, and links that lead out of the folder, are followed

    Files that cannot be read end up in `rejected`.
    Raises DataError, with the way to mend it, when the layout is not understood or there are too few classes
    or photos; UsageError for wrong `classes`.
    """
    base, listing = _list(root, for_training, follow_links)
    if for_training:
        _refuse_single(listing, root)
    order = _class_order(listing, classes, root)
    entries = _in_natural_order(listing)
    columns = read_entries(base, entries, keeper, progress)
    if for_training:
        _refuse_small(entries, columns.reasons, order, root)
    elif all(columns.reasons):
        raise _none_readable(entries, columns.reasons, root)
    return _index(base, order, listing, entries, columns)


def ahead_of_scan(
    root: Path, *, follow_links: bool, new_only: bool
) -> tuple[Path, Iterator[tuple[str, Stamp]]]:
    """For `Ahead.begin`: what `scan` will read.

    new_only: whether its keeper will want none of those that an earlier scan has seen
    Raises DataError as `scan` does when the layout is not understood.
    """
    base, listing = _list(root, True, follow_links)
    return base, coming(base, _in_natural_order(listing), new_only)


def _in_natural_order(listing: Listing) -> list[Entry]:
    return sorted(listing.entries, key=lambda entry: natural_key(entry.path))


def _index(
    base: Path, order: tuple[str, ...], listing: Listing, entries: list[Entry], columns: Columns
) -> DatasetIndex:
    kept = np.array([not reason for reason in columns.reasons], dtype=np.bool_)
    rows = np.flatnonzero(kept).tolist()
    number = {name: k for k, name in enumerate(order)}
    return DatasetIndex(
        root=base,
        classes=order,
        paths=tuple(entries[row].path for row in rows),
        labels=np.array([number[entries[row].label] for row in rows], dtype=np.int64),
        groups=tuple(entries[row].group for row in rows),
        splits=tuple(entries[row].split for row in rows),
        sha256=tuple(columns.sha256[row] for row in rows),
        sizes=columns.sizes[kept],
        rejected=tuple(
            Rejected(entry.path, reason)
            for entry, reason in zip(entries, columns.reasons, strict=True)
            if reason
        ),
        ignored=listing.ignored,
        notes=listing.notes + _absent([entries[row] for row in rows], order),
        looks=columns.looks[kept],
    )


def _list(root: Path, for_training: bool, follow_links: bool) -> tuple[Path, Listing]:
    try:
        if root.is_dir() or is_archive(root):
            return root, folder_listing(root, for_training=for_training, follow_links=follow_links)
        if root.is_file() and root.suffix.lower() == ".csv":
            return root.parent, table_listing(root)
        there = os.path.lexists(root)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"cannot be opened ({reason})", where=str(root)) from None
    raise _unusable(root, "neither a folder nor a CSV file nor an archive" if there else _MISSING)


def check_there(root: Path) -> None:
    """Raises DataError where `scan` would, as there is nothing: before anything that takes time."""
    if not os.path.lexists(root):
        raise _unusable(root, _MISSING)


def _unusable(root: Path, what: str) -> DataError:
    return DataError(what, where=str(root), expected=LAYOUTS, fix="check the path of the photos")


def _refuse_single(listing: Listing, root: Path) -> None:
    found = list(listing.labels())
    if len(found) == 1:
        links = "".join(f"; {note}" for note in links_note(listing.links))
        raise DataError(
            f"a single class, {found[0]!r}: nothing to tell apart{links}",
            where=str(root),
            expected="at least two classes",
            fix="add photos of another class, such as a folder of photos that are none of it",
        )


def _class_order(listing: Listing, wanted: Sequence[str] | None, root: Path) -> tuple[str, ...]:
    found = sorted(listing.labels(), key=natural_key)
    check_class_names(found, str(root))
    return tuple(found) if wanted is None else _in_order([composed(name) for name in wanted], found)


def _in_order(wanted: list[str], found: list[str]) -> tuple[str, ...]:
    times = Counter(wanted)
    mistakes = [f"unknown {name!r}{nearest(name, found)}" for name in times if name not in found]
    missing = [repr(name) for name in found if name not in times]
    mistakes += [f"missing {listed(missing)}"] if missing else []
    mistakes += [f"{name!r} given {count} times" for name, count in times.items() if count > 1]
    if mistakes:
        raise UsageError(
            f"classes do not fit the photos: {'; '.join(mistakes)}",
            expected=f"exactly these, in any order: {', '.join(found)}",
            fix="correct the list of classes, or leave it out for natural order",
        )
    return tuple(wanted)


def _refuse_small(entries: list[Entry], problems: list[str], order: tuple[str, ...], root: Path) -> None:
    kept: Counter[str] = Counter()
    reasons: dict[str, Counter[str]] = {name: Counter() for name in order}
    for entry, problem in zip(entries, problems, strict=True):
        if problem:
            reasons[entry.label][problem] += 1
        else:
            kept[entry.label] += 1
    small = [_short(name, kept[name], reasons[name]) for name in order if kept[name] < MINIMUM]
    if small:
        raise DataError(
            f"classes with fewer than {MINIMUM} readable photos: {listed(small)}",
            where=str(root),
            expected=f"at least {MINIMUM} readable photos in every class",
            fix="add photos to these classes, or take the classes out",
        )


def _none_readable(entries: list[Entry], problems: list[str], root: Path) -> DataError:
    named = (f"{shown(entry.path)} ({problem})" for entry, problem in zip(entries, problems, strict=True))
    return DataError(
        f"no readable photos: {listed(named, limit=3)}",
        where=str(root),
        expected="at least one photo that can be read",
        fix="check these files",
    )


def _short(name: str, kept: int, reasons: Counter[str]) -> str:
    if not reasons:
        return f"{name!r} ({kept})"
    ((reason, count),) = reasons.most_common(1)
    mostly = "" if count == reasons.total() else "mostly "
    return f"{name!r} ({kept}, {reasons.total()} more unreadable: {mostly}{reason})"


def _absent(kept: list[Entry], order: tuple[str, ...]) -> tuple[str, ...]:
    """One line for each given split that lacks classes."""
    present = {(entry.split, entry.label) for entry in kept}
    given = [split for split in SPLITS if any(entry.split == split for entry in kept)]
    lacking = {split: [name for name in order if (split, name) not in present] for split in given}
    return tuple(
        f"no photos in {split} of: {listed(map(repr, names))}" for split, names in lacking.items() if names
    )
