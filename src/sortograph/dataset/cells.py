"""A person's CSV file → its cells, whatever separates them, and the columns that are known."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from sortograph.errors import DataError, listed, nearest
from sortograph.images.inspect import read_bytes

COLUMNS = ("path", "label", "split", "group")
_HEADER = "a CSV file in UTF-8 whose first line is path,label or path,label,split,group"
# Comma first: it wins where none separates more.
_SEPARATORS = (",", ";", "\t")
_OTHER_NAMES = {
    "path": (
        "filename",
        "file_name",
        "filepath",
        "file_path",
        "file",
        "image_path",
        "image",
        "photo",
        "name",
    ),
    "label": ("class", "class_name", "category", "target"),
}


def read_cells(table: Path) -> list[tuple[int, list[str]]]:
    """(line number, cells) of all lines that are not blank, the header first.

    Cells are separated by what separates the first line best: commas, semicolons or tabs.
    Raises DataError for what is no such table, or holds no photos.
    """
    try:
        text = read_bytes(table).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _no_table("not UTF-8", table, 'save it as "CSV UTF-8"') from None
    rows = list(_rows(text, table))
    if not rows:
        raise _no_table("an empty CSV file", table, "write one line for each photo")
    if len(rows) == 1:
        raise _no_table("no photos in the CSV file", table, "write one line for each photo")
    return rows


def _rows(text: str, table: Path) -> Iterator[tuple[int, list[str]]]:
    lines = io.StringIO(text, newline="")
    # Strict: otherwise a quotation mark that is left open swallows the lines below it without a word.
    reader = csv.reader(lines, delimiter=_separator(text), strict=True)
    start = 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
            start = reader.line_num + 1
    except csv.Error as error:
        raise _unreadable(error, text, start, table) from None


def _unreadable(error: csv.Error, text: str, start: int, table: Path) -> DataError:
    line = io.StringIO(text, newline="").readlines()[start - 1]
    if line.count('"') % 2:
        return _no_table(f"line {start}: a quotation mark that is not closed", table, f"correct line {start}")
    return _no_table(f"line {start}: not a CSV file ({error})", table, "save it as CSV from a spreadsheet")


def _separator(text: str) -> str:
    """The one that gives most known columns in the first line that is not blank, then most cells."""
    first = next((line for line in text.splitlines() if line.strip()), "")

    def found(separator: str) -> tuple[int, int]:
        names = [name.strip().strip('"').casefold() for name in first.split(separator)]
        known = {*COLUMNS, *(other for others in _OTHER_NAMES.values() for other in others)}
        return len(known.intersection(names)), len(names)

    return max(_SEPARATORS, key=found)


def check_header(header: list[str], table: Path) -> list[str]:
    """The columns that are not used. Raises DataError for missing, repeated and misspelt ones."""
    extra = [name for name in header if name not in COLUMNS]
    missing = [name for name in COLUMNS[:2] if name not in header]
    mistakes = [f"no column {name!r}{_meant(name, extra)}" for name in missing]
    mistakes += [f"column {name!r} twice" for name in COLUMNS if header.count(name) > 1]
    absent = [name for name in COLUMNS[2:] if name not in header]
    mistakes += [f"unknown column {name!r}{hint}" for name in extra if (hint := nearest(name, absent))]
    if mistakes:
        found = listed(map(repr, header))
        raise _no_table(f"{'; '.join(mistakes)}; found {found}", table, "correct the first line")
    return extra


def _meant(name: str, extra: list[str]) -> str:
    """Which of the other columns should have this name, as a question, or ""."""
    other = next((other for other in _OTHER_NAMES[name] if other in extra), None)
    return f" (rename {other!r} to {name!r}?)" if other else nearest(name, extra)


def _no_table(what: str, table: Path, fix: str) -> DataError:
    return DataError(what, where=str(table), expected=_HEADER, fix=fix)
