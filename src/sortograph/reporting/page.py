"""One self-contained HTML file about a run: no script, nothing loaded from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sortograph.cores import cores
from sortograph.files import make_folder, write_atomic
from sortograph.records import DatasetIndex, EvaluationResult, RunRecord
from sortograph.reporting import facts, pictures, promises, steps, weak, words
from sortograph.reporting.engine import packaged, rendered, template

PLOTS = ("curves", "reliability", "confusion", "per_class")
PHOTOS = (
    "samples",
    "augmented",
    "predictions",
    "mistakes",
    "hits",
    "confused",
    "heatmaps",
    "lookalikes",
)
PICTURES = (*PHOTOS, *PLOTS)
_REJECTED = 50
_SLICES = 12


class Advice(Protocol):
    """A diagnosis in short: name and message of the gravest verdicts, and what helps against them."""

    @property
    def lines(self) -> tuple[tuple[str, str], ...]: ...

    @property
    def remedy(self) -> str:
        """In some words; "" where there is none."""

    @property
    def command(self) -> str:
        """What trains by it, or ""."""


@dataclass(frozen=True, slots=True)
class ReportView:
    """All that a report is made of.

    pictures  PNG or JPEG bytes by name, of PICTURES; those that are missing or empty are left out of the page
    advice    None where nothing was diagnosed
    """

    run: RunRecord
    index: DatasetIndex
    pictures: Mapping[str, bytes]
    advice: Advice | None = None

    def __post_init__(self) -> None:
        unknown = sorted(set(self.pictures) - set(PICTURES))
        if unknown:
            raise ValueError(f"unknown pictures {unknown}; known are {PICTURES}")


def render(view: ReportView) -> str:
    """The page as text that is safe to encode as UTF-8.

    Names of classes and files are escaped; bytes of names that are no UTF-8 become replacement marks.
    Raises MissingExtra where Jinja2 is not installed.
    """
    with ThreadPoolExecutor(cores(), "sortograph-page") as pool:
        packed = {name: pool.submit(_embedded, name, data) for name, data in view.pictures.items() if data}
        page, context = template("report.html.j2"), _context(view)  # is compiled meanwhile
        shown = {name: picture.result() for name, picture in packed.items()}
    return rendered(page, {**context, "pictures": shown})


def _embedded(name: str, data: bytes) -> pictures.Picture:
    return pictures.embedded(data, is_plot=name in PLOTS)


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
    split_names, class_counts, sums = facts.count_rows(index)
    return {
        "css": packaged("report.css"),
        "run": run,
        "index": index,
        "recipe": str(run.recipe.get("name", "")) or "no recipe",
        "folder": index.root.name or index.root.resolve().name,
        "date": facts.date(run.id),
        "judged": result,
        **_first_screen(view, result),
        "results": facts.splits(run),
        "metrics": facts.metric_rows(run),
        **_weaknesses(result),
        "split_names": split_names,
        "class_counts": class_counts,
        "sums": sums,
        "rejected": index.rejected[:_REJECTED],
        "more_rejected": max(0, len(index.rejected) - _REJECTED),
        "decisions": run.decisions,
        "rungs": facts.rung_rows(run.rungs),
        "settings": list(facts.settings(run.recipe)),
        "environment": facts.facts(run.environment),
        "drawn_from": words.drawn_from(result),
    }


def _first_screen(view: ReportView, result: EvaluationResult | None) -> dict[str, Any]:
    """How good is it, can it be trusted, what is wrong with it, what next."""
    run = view.run
    accuracy = result.metrics.get("accuracy") if result else None
    return {
        "hero": facts.rate(accuracy) if accuracy else None,
        "accuracy": accuracy,
        "words": words.in_words(result),
        "seen": result.leaks.get("train", 0) if result else 0,
        "status": facts.status(run),
        "trusted": promises.trusted(run, result),
        "withheld": promises.withheld_rows(run.trust) if run.trust else [],
        "sets": promises.conformal_rows(run.trust) if run.trust else [],
        "advice": view.advice,
        "steps": steps.commands(run),
    }


def _weaknesses(result: EvaluationResult | None) -> dict[str, Any]:
    classes = weak.class_rows(result) if result else []
    slices = weak.slice_rows(result) if result else []
    return {
        "class_rows": classes[: weak.SHOWN],
        "more_classes": classes[weak.SHOWN :],
        "ranked": any(row.auroc for row in classes),
        "slices": slices[:_SLICES],
        "more_slices": slices[_SLICES:],
        "any_weak": any(row.weak for row in slices),
        "confused": weak.confused_rows(result) if result else [],
    }
