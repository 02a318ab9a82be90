"""One self-contained HTML file about runs set against each other: no script, nothing loaded."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sortograph.files import make_folder, write_atomic
from sortograph.records import Compared, Contender, Estimate, Pair
from sortograph.records.comparison import p_text
from sortograph.reporting import facts
from sortograph.reporting.engine import packaged, rendered, template
from sortograph.reporting.overlay import Course, overlay

_SCALE = 1.5  # pixels of a plot for each of the page, so that it stays sharp
_LEAST = 0.05  # the scale of differences reaches at least this far


@dataclass(frozen=True, slots=True)
class ComparePage:
    """All that the page is made of. `courses` has one for each run, in the order of `compared.runs`."""

    compared: Compared
    courses: tuple[Course, ...]

    def __post_init__(self) -> None:
        if len(self.courses) != len(self.compared.runs):
            raise ValueError(f"{len(self.courses)} courses of {len(self.compared.runs)} runs")


@dataclass(frozen=True, slots=True)
class _Row:
    """A run; a cell for each split, None where it has none."""

    run: Contender
    mark: str
    cells: tuple[facts.Cell | None, ...]
    gap: str
    gap_interval: str
    size: str
    seconds: str


@dataclass(frozen=True, slots=True)
class _Difference:
    """A pair. `at`, `low` and `high` in percent of the bar, 50 is no difference."""

    words: str
    shown: bool
    a: str
    b: str
    at: float
    low: float
    high: float
    only_a: int
    only_b: int
    alone: str


@dataclass(frozen=True, slots=True)
class _Picture:
    url: str
    width: int
    height: int


def render_comparison(view: ComparePage) -> str:
    """The page as text that is safe to encode as UTF-8.

    Names of runs and classes are escaped; bytes of names that are no UTF-8 become replacement marks.
    Raises MissingExtra where Jinja2 or matplotlib is not installed.
    """
    return rendered(template("compare.html.j2"), _context(view))


def write_compare_page(view: ComparePage, file: Path) -> Path:
    """Write the page to `file` and return it. Raises StorageError and MissingExtra."""
    page = render_comparison(view)
    make_folder(file.parent)
    write_atomic(file, page.encode())
    return file


def _context(view: ComparePage) -> dict[str, Any]:
    found = view.compared
    splits = list(dict.fromkeys(split for run in found.runs for split in run.accuracy))
    reach = max((_reach(pair) for pair in found.pairs), default=_LEAST)
    plot = overlay(view.courses)
    return {
        "css": packaged("report.css") + packaged("compare.css"),
        "found": found,
        "photos": found.pairs[0].difference.n,
        "on": "test photos" if found.split == "test" else "photos that were given",
        "chosen": found.names.get(found.chosen or ""),
        "headline": _headline(found.pairs),
        "splits": [(split, _count(found.runs, split)) for split in splits],
        "rows": [_row(found, run, splits) for run in found.runs],
        "differences": [_difference(found, pair, reach) for pair in found.pairs],
        "reach": f"{100 * reach:.0f}",
        "level": f"{100 * found.pairs[0].difference.level:g}",
        "curves": _picture(plot) if plot else None,
        "without_epochs": [course.name for course in view.courses if not course.history],
        "grouped": found.pairs[0].test != "mcnemar exact",
    }


def _headline(pairs: Sequence[Pair]) -> str:
    """
    >>> _headline(())
    'No pair shows a difference'
    """
    shown = sum(pair.shown for pair in pairs)
    if len(pairs) == 1:
        return "The two differ" if shown else "No difference shown"
    if not shown:
        return "No pair shows a difference"
    return f"{shown} of {len(pairs)} pairs {'shows' if shown == 1 else 'show'} a difference"


def _count(runs: Sequence[Contender], split: str) -> int | None:
    """Photos of a split, where all runs have as many."""
    counts = {run.accuracy[split].n for run in runs if split in run.accuracy}
    return counts.pop() if len(counts) == 1 else None


def _row(found: Compared, run: Contender, splits: Sequence[str]) -> _Row:
    gap, ends = _signed(run.gap)
    mark = "chosen" if run.run == found.chosen else "tied" if run.run in found.tied else ""
    return _Row(
        run=run,
        mark=mark,
        cells=tuple(facts.rate(run.accuracy[split]) if split in run.accuracy else None for split in splits),
        gap=gap,
        gap_interval=ends,
        size=f"{run.size / 1e6:.1f} MB",
        seconds=facts.duration(run.seconds),
    )


def _signed(estimate: Estimate | None) -> tuple[str, str]:
    if estimate is None:
        return "–", ""
    value, low, high = (
        f"{100 * end:+.1f}".replace("-", "−") for end in (estimate.value, estimate.low, estimate.high)
    )
    return value, f"{low} to {high}"


def _reach(pair: Pair) -> float:
    return max(_LEAST, abs(pair.difference.low), abs(pair.difference.high))


def _difference(found: Compared, pair: Pair, reach: float) -> _Difference:
    names, estimate = found.names, pair.difference
    at, low, high = (50 + 50 * end / reach for end in (estimate.value, estimate.low, estimate.high))
    words = found.in_words(pair)
    return _Difference(
        words=words if pair.shown else words[0].upper() + words[1:],
        shown=pair.shown,
        a=names[pair.a],
        b=names[pair.b],
        at=at,
        low=low,
        high=high,
        only_a=pair.only_a,
        only_b=pair.only_b,
        # For one pair the sentence has said it.
        alone=p_text(pair.p) if pair.comparisons > 1 else "",
    )


def _picture(png: bytes) -> _Picture:
    width, height = (round(side / _SCALE) for side in struct.unpack(">II", png[16:24]))
    return _Picture(f"data:image/png;base64,{base64.b64encode(png).decode()}", width, height)
