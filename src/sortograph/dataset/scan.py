"""A folder or CSV file of labelled photos → the index that every other room works on."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from sortograph.dataset.layouts import LAYOUTS, folder_listing
from sortograph.dataset.listing import Entry, Listing, links_note
from sortograph.dataset.names import check_class_names, listed, shown
from sortograph.dataset.table import table_listing
from sortograph.errors import DataError, PhotoError, UsageError, nearest
from sortograph.images.inspect import inspect
from sortograph.images.names import composed, natural_key
from sortograph.records import SPLITS, DatasetIndex, PhotoFacts, Progress, Rejected, Step, silent

Reader = Callable[[Path], PhotoFacts]
MINIMUM = 3  # photos of one class: one each for training, validation and test
_PAUSE = 0.1


def scan(
    root: Path,
    *,
    reader: Reader = inspect,
    classes: Sequence[str] | None = None,
    for_training: bool = True,
    progress: Progress = silent,
) -> DatasetIndex:
    """Find the photos of a folder or CSV file, read each of them once, and index them in natural order.

    reader   gives the facts of one photo file, or raises PhotoError: such files end up in `rejected`
    classes  the order of the classes; must name exactly those that are found
    for_training  whether there must be two classes or more, of three readable photos each; else one photo is
                  enough

    Raises DataError, with the way to mend it, when the layout is not understood or there are too few classes
    or photos; UsageError for wrong `classes`.
    """
    base, listing = _list(root, for_training)
    if for_training:
        _refuse_single(listing, root)
    order = _class_order(listing, classes, root)
    entries = sorted(listing.entries, key=lambda entry: natural_key(entry.path))
    facts = _read_all(base, entries, reader, progress)
    kept = [(entry, fact) for entry, fact in zip(entries, facts, strict=True) if isinstance(fact, PhotoFacts)]
    if for_training:
        _refuse_small(entries, facts, order, root)
    elif not kept:
        raise _none_readable(entries, facts, root)
    number = {name: k for k, name in enumerate(order)}
    return DatasetIndex(
        root=base,
        classes=order,
        paths=tuple(entry.path for entry, _ in kept),
        labels=np.array([number[entry.label] for entry, _ in kept], dtype=np.int64),
        groups=tuple(entry.group for entry, _ in kept),
        splits=tuple(entry.split for entry, _ in kept),
        sha256=tuple(fact.sha256 for _, fact in kept),
        sizes=np.array([(fact.width, fact.height) for _, fact in kept], dtype=np.int32).reshape(-1, 2),
        rejected=tuple(
            Rejected(entry.path, fact)
            for entry, fact in zip(entries, facts, strict=True)
            if isinstance(fact, str)
        ),
        ignored=listing.ignored,
        notes=listing.notes + _absent([entry for entry, _ in kept], order),
    )


def _list(root: Path, for_training: bool) -> tuple[Path, Listing]:
    try:
        if root.is_dir():
            return root, folder_listing(root, for_training=for_training)
        if root.is_file() and root.suffix.lower() == ".csv":
            return root.parent, table_listing(root)
        there = os.path.lexists(root)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"cannot be opened ({reason})", where=str(root)) from None
    raise DataError(
        "neither a folder nor a CSV file" if there else "no such folder or file",
        where=str(root),
        expected=LAYOUTS,
        fix="check the path of the photos",
    )


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
    mistakes += [f"missing {name!r}" for name in found if name not in times]
    mistakes += [f"{name!r} given {count} times" for name, count in times.items() if count > 1]
    if mistakes:
        raise UsageError(
            f"classes do not fit the photos: {'; '.join(mistakes)}",
            expected=f"exactly these, in any order: {', '.join(found)}",
            fix="correct the list of classes, or leave it out for natural order",
        )
    return tuple(wanted)


def _read_all(base: Path, entries: list[Entry], reader: Reader, progress: Progress) -> list[PhotoFacts | str]:
    """Facts, or the reason why there are none, in the order of the entries."""

    def read(entry: Entry) -> PhotoFacts | str:
        if entry.problem:
            return entry.problem
        try:
            return reader(base / entry.path)
        except PhotoError as error:
            return error.what

    pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1)
    try:
        return list(_told(pool.map(read, entries), len(entries), progress))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _told(results: Iterator[PhotoFacts | str], total: int, progress: Progress) -> Iterator[PhotoFacts | str]:
    told = time.monotonic()
    for done, result in enumerate(results, start=1):
        now = time.monotonic()
        if done == total or now - told >= _PAUSE:
            told = now
            progress(Step("reading photos", done, total))
        yield result


def _refuse_small(
    entries: list[Entry], facts: list[PhotoFacts | str], order: tuple[str, ...], root: Path
) -> None:
    kept: Counter[str] = Counter()
    reasons: dict[str, Counter[str]] = {name: Counter() for name in order}
    for entry, fact in zip(entries, facts, strict=True):
        if isinstance(fact, str):
            reasons[entry.label][fact] += 1
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


def _none_readable(entries: list[Entry], facts: list[PhotoFacts | str], root: Path) -> DataError:
    named = (
        f"{shown(entry.path)} ({fact})"
        for entry, fact in zip(entries, facts, strict=True)
        if isinstance(fact, str)
    )
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
