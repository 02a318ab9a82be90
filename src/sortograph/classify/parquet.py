"""A table of answers as a Parquet file, with types: texts, and probabilities as float32."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from sortograph.classify.rows import START
from sortograph.errors import MissingExtra
from sortograph.files import unguard

_GROUP = 50_000  # rows that are in memory at once


def check() -> None:
    """Raises MissingExtra where pyarrow is not installed."""
    try:
        import_module("pyarrow.parquet")
    except ImportError:
        raise MissingExtra.of("parquet", "pyarrow") from None


def is_table(file: Path) -> bool:
    """Whether a Parquet file is a table of answers."""
    pa, pq = import_module("pyarrow"), import_module("pyarrow.parquet")
    try:
        return tuple(pq.read_schema(file).names[: len(START)]) == START
    except (OSError, pa.ArrowException):
        return False


def convert(table: Path, to: Path) -> None:
    """From a CSV table of answers, by way of a neighbour of `to`, which it then replaces.

    Cells that are empty are null; bytes of names that are no UTF-8 become replacement marks.
    """
    pa, pq = import_module("pyarrow"), import_module("pyarrow.parquet")
    unfinished = to.with_name(f"{to.name}.writing")
    with table.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = csv.reader(file)
        names = next(rows)
        kinds = [pa.float32() if name.startswith("probability") else pa.string() for name in names]
        schema = pa.schema(list(zip(names, kinds, strict=True)))
        with pq.ParquetWriter(unfinished, schema) as writer:
            for group in _groups(rows):
                columns = [
                    _column(cells, kind == pa.float32()) for cells, kind in zip(group, kinds, strict=True)
                ]
                writer.write_table(pa.table(dict(zip(names, columns, strict=True)), schema=schema))
    with unfinished.open("r+b") as file:
        os.fsync(file.fileno())
    unfinished.replace(to)


def _groups(rows: Iterator[list[str]]) -> Iterator[list[tuple[str, ...]]]:
    """Columns of some rows at a time."""
    while some := list(islice(rows, _GROUP)):
        yield list(zip(*some, strict=True))


def _column(cells: tuple[str, ...], is_number: bool) -> list[Any]:
    if is_number:
        return [float(cell) if cell else None for cell in cells]
    return [unguard(cell) or None for cell in cells]
