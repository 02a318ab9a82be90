"""Aligned text: drawn by Rich on a terminal, plain everywhere else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from sortograph import errors
from sortograph.cli import streams
from sortograph.cli.text import padded, percent, width

__all__ = ["Table", "clock", "command", "facts", "padded", "percent", "plain", "show", "size", "width"]


@dataclass(frozen=True, slots=True)
class Table:
    """`align` has one letter a column, l or r; every row is as long as `header`, "" for no heading."""

    header: tuple[str, ...]
    align: str
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.align) for row in (self.header, *self.rows))


def show(table: Table) -> None:
    """On stdout."""
    if streams.draws(sys.stdout):
        _draw(table)
    else:
        for line in plain(table):
            streams.out(line)


def plain(table: Table) -> list[str]:
    """
    >>> plain(Table(("class", "n"), "lr", (("새", "7"), ("cat", "12"))))
    ['class   n', '새      7', 'cat    12']
    """
    rows = [tuple(map(streams.safe, row)) for row in (table.header, *table.rows)]
    rows = rows if any(rows[0]) else rows[1:]
    widths = [max((width(row[k]) for row in rows), default=0) for k in range(len(table.align))]
    return ["  ".join(map(padded, row, widths, table.align)).rstrip() for row in rows]


def facts(rows: Sequence[tuple[str, str]]) -> None:
    """Names and values on stdout, one pair a line, never cut: values are to be copied."""
    widest = max((width(name) for name, _ in rows), default=0)
    for name, value in rows:
        streams.out(streams.safe(f"{padded(name, widest)}  {value}"))


def size(count: float) -> str:
    """
    >>> size(0), size(13_737_338_470)
    ('0.0 MB', '13.7 GB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def clock(seconds: float) -> str:
    """
    >>> clock(83), clock(3723)
    ('1:23', '1:02:03')
    """
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def command(*words: object) -> str:
    """What to type, quoted for the shell of this system: `errors.command`."""
    return errors.command(*words)


def _draw(table: Table) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as Drawn
    from rich.text import Text

    drawn = Drawn(box=box.SIMPLE_HEAD, show_header=any(table.header), pad_edge=False)
    for name, side in zip(table.header, table.align, strict=True):
        drawn.add_column(Text(name), justify="left" if side == "l" else "right", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(streams.safe(cell)) for cell in row))
    Console().print(drawn)
