"""The model card: what a model is for, how it was measured, where it is weak. Plain Markdown."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sortograph.errors import counted
from sortograph.files import write_atomic
from sortograph.records import EvaluationResult, RunRecord
from sortograph.reporting import facts, promises, steps, weak, words
from sortograph.reporting.facts import Cell
from sortograph.reporting.page import ReportView

FILE = "model-card.md"
_CLASSES = 5  # of the weakest
_SLICES = 3
# Whatever Markdown or HTML could take for more than text; _ only where it may begin or end a word.
_MARKS = re.compile(r"[\\`*\[\]<>|~&]|(?<![^\W_])_|_(?![^\W_])")


def write_card(view: ReportView) -> Path:
    """Write `model-card.md` into the run folder and return its path. Raises StorageError."""
    file = view.run.folder / FILE
    write_atomic(file, card(view).encode())
    return file


def card(view: ReportView) -> str:
    """The card as text that is safe to encode as UTF-8.

    Names of classes and files are escaped; bytes of names that are no UTF-8 become replacement marks.
    """
    result = facts.judged(view.run)
    parts = (
        _purpose(view),
        _data(view),
        _measured(view, result),
        _results(view.run),
        _calibration(view.run, result),
        _weaknesses(view, result),
        _limits(view.run),
        _use(view.run),
        _environment(view.run),
    )
    text = "\n".join(line for part in parts for line in (*part, ""))
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def text(name: object) -> str:
    """One line that Markdown shows as it is.

    >>> text("a|b"), text("_cat_ <b>"), text("snow_man")
    ('a\\\\|b', '\\\\_cat\\\\_ \\\\<b\\\\>', 'snow_man')
    """
    plain = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") else c for c in str(name))
    return _MARKS.sub(r"\\\g<0>", " ".join(plain.split()))


def _purpose(view: ReportView) -> Iterator[str]:
    run, index = view.run, view.index
    recipe = str(run.recipe.get("name", "")) or "no recipe"
    yield f"# Model card: {text(recipe)} on {text(index.root.name or index.root.resolve().name)}"
    yield ""
    classes = counted(len(index.classes), "class", "classes")
    yield (
        f"`model.onnx` in this folder tells which of {classes} a photo shows. It is for photos like those "
        "that it was trained and judged on; where unsure answers are not withheld, it names one of its "
        "classes for any photo, also for one that shows none of them."
    )
    yield ""
    about = str(run.recipe.get("about", ""))
    yield f"- recipe: {text(recipe)}{f' ({text(about)})' if about else ''}"
    yield f"- classes: {', '.join(map(text, index.classes))}"
    yield from _weights(run.environment.get("backbones", ()))
    made = [facts.date(run.id), f"sortograph {run.environment.get('sortograph', 'of unknown version')}"]
    yield f"- made: run {text(run.id)}, {text(', '.join(filter(None, made)))}"
    yield f"- status: {text(facts.status(run))}"
    for line in run.decisions:
        yield f"- decided: {text(line)}"


def _weights(backbones: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for known in backbones:
        licence = known.get("licence") or "unknown"
        origin = known.get("origin") or "unknown"
        yield f"- pretrained weights: {text(known.get('name'))}, licence {text(licence)}, from {text(origin)}"
    if not backbones:
        yield "- pretrained weights: none"


def _data(view: ReportView) -> Iterator[str]:
    index = view.index
    names, rows, sums = facts.count_rows(index)
    yield "## Data"
    yield ""
    yield from _table(
        ("class", *names, "sum"),
        [*((text(name), *row, total) for name, row, total in rows), ("**sum**", *sums)],
    )
    yield ""
    yield f"- fingerprint of the data: `{view.run.fingerprint}`"
    yield f"- left out: {counted(len(index.rejected), 'photo')} that could not be used"
    for note in index.notes:
        yield f"- {text(note)}"


def _measured(view: ReportView, result: EvaluationResult | None) -> Iterator[str]:
    run, seed = view.run, view.run.recipe.get("split", {}).get("seed")
    yield "## How it was measured"
    yield ""
    cut = "" if seed is None else f", {seed} of splits that were cut here"
    yield f"- seeds: {run.seed} of the training{cut}"
    for name, found in run.evaluation.items():
        yield f"- {name}: {counted(found.n, 'photo')}{_part(name, found)}"
    if result is not None and "accuracy" in result.metrics:
        accuracy = result.metrics["accuracy"]
        level = f"{100 * accuracy.level:g} %"
        yield f"- intervals: {level}; that of the {result.split} accuracy by {text(accuracy.method)}"


def _part(name: str, result: EvaluationResult) -> str:
    """What a split was for, and what stands against it."""
    role = {"train": "they taught the model", "test": "they judged the finished model once"}.get(name, "")
    if name == "validation":
        role = f"{result.chose} of them are for choosing the model" if result.chose else ""
    leaks = [f"{count} of them, or nearly the same, also in {other}" for other, count in result.leaks.items()]
    told = "; ".join(filter(None, (role, *leaks)))
    return f": {told}" if told else ""


def _results(run: RunRecord) -> Iterator[str]:
    yield "## Results"
    yield ""
    if not run.evaluation:
        yield "This run has not been evaluated yet."
        return
    header = ("figure", *(f"{found.split}, n = {found.n}" for found in facts.splits(run)))
    rows = [(row.name, *(_cell(it) for it in row.cells)) for row in facts.metric_rows(run)]
    yield from _table(header, rows)
    yield ""
    yield " ".join(words.in_words(facts.judged(run)))


def _calibration(run: RunRecord, result: EvaluationResult | None) -> Iterator[str]:
    found = promises.trusted(run, result)
    yield "## Calibration and thresholds"
    yield ""
    if run.trust is None:
        yield found.none
        return
    yield f"Logits are divided by {promises.calibrated_by(run.trust)}."
    if found.error:
        before = f"{_cell(found.before)} before, " if found.before else ""
        yield f"Calibration error ({found.measured}): {before}{_cell(found.error)} after."
    yield ""
    rows = promises.withheld_rows(run.trust)
    yield from _table(
        ("at most wrong", "withhold up to", "photos answered", "wrong", "n"),
        [(row.error, row.threshold, *_answered(row), row.n) for row in rows],
    )
    yield ""
    yield from _table(
        ("set holds the true class", "classes with at least", "n"), promises.conformal_rows(run.trust)
    )
    if found.unlike:
        yield ""
        yield found.unlike


def _weaknesses(view: ReportView, result: EvaluationResult | None) -> Iterator[str]:
    yield "## Where it is weak"
    yield ""
    for name, message in view.advice.lines if view.advice else ():
        yield f"- {text(name)}: {text(message)}"
    if result is None:
        return
    for row in weak.slice_rows(result)[:_SLICES]:
        named = f"{row.accuracy.value} of {row.accuracy.n} {result.split} photos ({row.accuracy.interval})"
        gap = f"{row.difference} to the others ({row.interval}): {row.verdict}"
        yield f"- {text(row.property)}, {text(row.name)}: {named}, {gap}"
    yield ""
    yield f"Classes by F1 on {result.split} photos, the weakest first:"
    yield ""
    rows = weak.class_rows(result)[:_CLASSES]
    yield from _table(
        ("class", "F1", "precision", "recall", "photos"),
        [(text(row.name), *map(_cell, (row.f1, row.precision, row.recall)), row.support) for row in rows],
    )


def _limits(run: RunRecord) -> Iterator[str]:
    yield "## Limits"
    yield ""
    yield (
        "- All figures hold for photos like those that were judged: from other places, cameras or times, "
        "expect less, and measure it with `sortograph evaluate`."
    )
    if run.trust and run.trust.likeness:
        yield "- Photos unlike training are flagged where their embedding tells; not all that are strange do."
    else:
        yield "- Photos unlike anything in training are not flagged."
    yield "- What is promised of answers that are given is promised of photos like those that calibrated."


def _use(run: RunRecord) -> Iterator[str]:
    yield "## How to use it"
    yield ""
    yield "```console"
    yield from (command for _, command in steps.commands(run))
    yield "```"
    yield ""
    yield "`report.html` in this folder shows all of this with pictures."


def _environment(run: RunRecord) -> Iterator[str]:
    yield "## Environment"
    yield ""
    known = {key: value for key, value in run.environment.items() if key != "backbones"}
    for key, value in facts.facts(known):
        yield f"- {text(key)}: {text(value)}"


def _answered(row: promises.Withheld) -> tuple[str, str]:
    return (row.reason, "–") if row.answered is None else (_cell(row.answered), str(row.wrong))


def _cell(found: Cell | None) -> str:
    if found is None:
        return ""
    return f"{found.value} ({found.interval})" if found.interval else found.value


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"
