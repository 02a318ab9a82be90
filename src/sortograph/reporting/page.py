"""One self-contained HTML file about a run: no script, nothing loaded from anywhere."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sortograph.files import make_folder, write_atomic
from sortograph.records import DatasetIndex, RunRecord
from sortograph.reporting import facts
from sortograph.reporting.engine import packaged, rendered

PICTURES = ("samples", "augmented", "predictions", "mistakes", "curves", "confusion", "per_class")
_PLOTS = ("curves", "confusion", "per_class")
_REJECTED = 50


@dataclass(frozen=True, slots=True)
class ReportView:
    """All that a report is made of.

    pictures  PNG bytes by name, of PICTURES; those that are missing or empty are left out of the page
    """

    run: RunRecord
    index: DatasetIndex
    pictures: Mapping[str, bytes]

    def __post_init__(self) -> None:
        unknown = sorted(set(self.pictures) - set(PICTURES))
        if unknown:
            raise ValueError(f"unknown pictures {unknown}; known are {PICTURES}")


@dataclass(frozen=True, slots=True)
class _Picture:
    url: str
    width: int
    height: int


def render(view: ReportView) -> str:
    """The page as text that is safe to encode as UTF-8.

    Names of classes and files are escaped; bytes of names that are no UTF-8 become replacement marks.
    Raises MissingExtra where Jinja2 is not installed.
    """
    return rendered("report.html.j2", _context(view))


def write_report(view: ReportView) -> Path:
    """Write `plots/<name>.png` and `report.html` into the run folder and return the path of the page.

    Raises StorageError, and MissingExtra where Jinja2 is not installed.
    """
    page = render(view)
    plots = make_folder(view.run.folder / "plots")
    for name, picture in view.pictures.items():
        if picture:
            write_atomic(plots / f"{name}.png", picture)
    write_atomic(view.run.report, page.encode())
    return view.run.report


def _context(view: ReportView) -> dict[str, Any]:
    run, index, result = view.run, view.index, facts.judged(view.run)
    accuracy = result.metrics.get("accuracy") if result else None
    split_names, class_counts, sums = facts.count_rows(index)
    return {
        "css": packaged("report.css"),
        "run": run,
        "index": index,
        "recipe": str(run.recipe.get("name", "")) or "no recipe",
        "folder": index.root.name or index.root.resolve().name,
        "date": facts.date(run.id),
        "judged": result,
        "hero": facts.rate(accuracy) if accuracy else None,
        "accuracy": accuracy,
        "words": facts.in_words(result),
        "seen": result.leaks.get("train", 0) if result else 0,
        "drawn_from": facts.drawn_from(result),
        "status": facts.status(run),
        "results": facts.splits(run),
        "metrics": facts.metric_rows(run),
        "class_rows": facts.class_rows(result) if result else [],
        "split_names": split_names,
        "class_counts": class_counts,
        "sums": sums,
        "rejected": index.rejected[:_REJECTED],
        "more_rejected": max(0, len(index.rejected) - _REJECTED),
        "decisions": run.decisions,
        "rungs": facts.rung_rows(run.rungs),
        "settings": list(facts.settings(run.recipe)),
        "environment": facts.facts(run.environment),
        "command": facts.command(run),
        "pictures": {name: _picture(name, data) for name, data in view.pictures.items() if data},
    }


def _picture(name: str, png: bytes) -> _Picture:
    """As a data: URL, with the size to show it at: plots have more pixels than that, to stay sharp."""
    scale = 1.5 if name in _PLOTS else 1.0
    width, height = (round(side / scale) for side in struct.unpack(">II", png[16:24]))
    return _Picture(f"data:image/png;base64,{base64.b64encode(png).decode()}", width, height)
