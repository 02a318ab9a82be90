"""CSV files: a person's table of photos and labels, and the index.csv of a run folder."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NoReturn

import numpy as np

from sortograph.dataset.cells import COLUMNS, check_header, read_cells
from sortograph.dataset.listing import Entry, Listing
from sortograph.dataset.names import SPLIT_NAMES, shown, split_of
from sortograph.dataset.walk import link_problem
from sortograph.errors import DataError, RunError, counted, listed, nearest
from sortograph.files import unguard, write_csv
from sortograph.images.names import composed, decomposed
from sortograph.records import SPLITS, DatasetIndex

INDEX_COLUMNS = ("path", "class", "split", "group", "sha256", "width", "height", "twins")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SIZE = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class _Row:
    """A line as it was understood; `split` is the cell as written."""

    line: int
    entry: Entry
    split: str = ""
    outside: bool = False


def table_listing(table: Path) -> Listing:
    """Photos named by a CSV file with the columns path,label[,split][,group].

    Paths are relative to the CSV file, or absolute ones below its folder. Raises DataError, with all
    mistakes of one kind at once, for missing columns, empty labels, unknown splits, paths out of the
    folder, and one path under two labels.
    """
    cells = read_cells(table)
    header = [cell.strip().casefold() for cell in cells[0][1]]
    extra = check_header(header, table)
    folders = (Path(os.path.realpath(table.parent)), table.parent.absolute())
    rows = [_row(line, dict(zip(header, row, strict=False)), folders) for line, row in cells[1:]]
    lengths = [f"line {line} ({len(row)} cells)" for line, row in cells[1:] if len(row) > len(header)]
    _refuse(lengths, f"lines with more cells than the {len(header)} columns", table)
    _check_rows(rows, table)
    entries = tuple(dict.fromkeys(row.entry for row in rows))
    notes = [f"columns not used: {listed(map(repr, extra))}"] if extra else []
    if len(entries) < len(rows):
        notes.append(f"ignored: {counted(len(rows) - len(entries), 'repeated line')}")
    return Listing(entries, notes=tuple(notes))


def _row(line: int, cells: dict[str, str], folders: Sequence[Path]) -> _Row:
    """`folders` are the one of the table, without links, and the same as it was given."""
    path, label, split, group = (cells.get(name, "").strip() for name in COLUMNS)
    label, group = unguard(label), unguard(group)  # `review` writes such tables, too
    path, root = _relative(path, folders), folders[0]
    outside = _leads_out(path)
    problem = ""
    if path and not outside:
        path = _on_disk(root, path)
        problem = link_problem(root, root / path)
    entry = Entry(path, composed(label), split_of(split), composed(group), problem)
    return _Row(line, entry, split, outside)


def _relative(path: str, folders: Sequence[Path]) -> str:
    """A path below one of the folders as one relative to it; any other as it is."""
    if not Path(path).is_absolute():
        return path
    for folder in folders:
        if Path(path).is_relative_to(folder):
            return Path(path).relative_to(folder).as_posix()
    return path


def _leads_out(path: str) -> bool:
    windows = PureWindowsPath(path)
    return bool(windows.drive or windows.root) or ".." in windows.parts or "\0" in path


def _on_disk(root: Path, path: str) -> str:
    """The spelling of `path` that exists: tables travel between systems that write / and é differently."""
    forward = path.replace("\\", "/")
    for spelling in (path, forward, composed(forward), decomposed(forward), unguard(path)):
        if os.path.lexists(root / spelling):
            return PurePosixPath(Path(spelling).as_posix()).as_posix()
    return PurePosixPath(forward).as_posix()


def _check_rows(rows: list[_Row], table: Path) -> None:
    def lines(chosen: Iterable[_Row]) -> list[str]:
        return [f"line {row.line}" for row in chosen]

    _refuse(lines(row for row in rows if not row.entry.path), "lines without a path", table)
    outside = [f"line {row.line} ({row.entry.path!r})" for row in rows if row.outside]
    _refuse(outside, "paths that lead out of the folder of the CSV file", table)
    _refuse(lines(row for row in rows if not row.entry.label), "lines without a label", table)
    unknown = [
        f"line {row.line} ({row.split!r}{nearest(row.split, SPLIT_NAMES)})"
        for row in rows
        if row.split and not row.entry.split
    ]
    _refuse(unknown, "unknown splits (known: train, validation, test)", table)
    if any(row.entry.split for row in rows):
        _refuse(
            lines(row for row in rows if not row.entry.split),
            "lines without a split, though others have one",
            table,
        )
    for column, name in (("label", "labels"), ("split", "splits"), ("group", "groups")):
        _refuse(_doubles(rows, column), f"one path under two {name}", table)


def _doubles(rows: list[_Row], column: str) -> list[str]:
    values: dict[str, list[str]] = {}
    for row in rows:
        known = values.setdefault(row.entry.path, [])
        if (value := getattr(row.entry, column)) not in known:
            known.append(value)
    return [
        f"{shown(path)!r} ({listed(map(repr, found))})" for path, found in values.items() if len(found) > 1
    ]


def _refuse(mistakes: Sequence[str], what: str, table: Path) -> None:
    if mistakes:
        raise DataError(
            f"{len(mistakes)} {what}: {listed(mistakes)}",
            where=str(table),
            expected="one line for each photo, with a path relative to the CSV file and a label",
            fix="correct these lines",
        )


def write_index(index: DatasetIndex, path: Path) -> None:
    """Write the run's index.csv: path,class,split,group,sha256,width,height,twins. Raises StorageError."""
    names = [index.classes[k] if k >= 0 else "" for k in index.labels.tolist()]
    twins = index.twins or ("",) * len(index)
    columns = (index.paths, names, index.splits, index.groups, index.sha256, *index.sizes.T.tolist(), twins)
    write_csv(path, INDEX_COLUMNS, zip(*columns, strict=True))


def read_index(path: Path, root: Path, classes: Sequence[str]) -> DatasetIndex:
    """Read what `write_index` wrote; `root` is the folder of the photos, `classes` the model's order.

    Raises RunError when the file is missing or damaged, or names a class that is not in `classes`.
    """
    rows = _index_rows(path)
    number = {name: k for k, name in enumerate(classes)} | {"": -1}
    for line, row in enumerate(rows, start=2):
        if problem := _damage(row, number):
            _damaged(path, f"row {line}: {problem}")
    if len({row[0] for row in rows}) < len(rows):
        _damaged(path, "a path appears twice")
    columns = zip(*rows, strict=True) if rows else ((),) * len(INDEX_COLUMNS)
    paths, names, splits, groups, sha256, widths, heights, twins = columns
    return DatasetIndex(
        root=root,
        classes=tuple(classes),
        paths=paths,
        labels=np.array([number[name] for name in names], dtype=np.int64),
        groups=groups,
        splits=splits,
        sha256=sha256,
        sizes=np.array([widths, heights], dtype=np.int32).T.reshape(-1, 2),
        twins=twins,
    )


def _index_rows(path: Path) -> list[list[str]]:
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except OSError as error:
        _damaged(path, f"cannot be read ({error.strerror})")
    except csv.Error as error:
        _damaged(path, str(error))
    if rows and tuple(rows[0]) == INDEX_COLUMNS[:-1]:  # from before near duplicates were looked for
        rows = [list(INDEX_COLUMNS), *([*row, ""] for row in rows[1:])]
    if not rows or tuple(rows[0]) != INDEX_COLUMNS:
        _damaged(path, "the first line is not the expected one")
    return [[unguard(cell) for cell in row] for row in rows[1:]]


def _damage(row: list[str], number: dict[str, int]) -> str:
    """What is wrong with one row of an index.csv, or ""."""
    if len(row) != len(INDEX_COLUMNS):
        return f"{len(row)} cells"
    path, name, split, _, sha256, *sizes, _ = row
    if not path or Path(path).anchor or ".." in Path(path).parts:
        return f"path {path!r}"
    if name not in number:
        return f"unknown class {name!r}{nearest(name, number)}"
    if split not in (*SPLITS, ""):
        return f"unknown split {split!r}"
    if not _SHA256.fullmatch(sha256):
        return "not a sha256"
    return "" if all(_SIZE.fullmatch(size) for size in sizes) else "not a picture size"


def _damaged(path: Path, what: str) -> NoReturn:
    raise RunError(
        f"the index of the run is damaged: {what}",
        where=str(path),
        expected=f"a CSV file with the columns {','.join(INDEX_COLUMNS)}",
        fix="train again, or restore the file from a copy",
    )
