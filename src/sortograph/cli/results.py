"""What runs and evaluations tell on stdout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, permutations
from pathlib import Path
from typing import TYPE_CHECKING

from sortograph.cli import streams, tables, words
from sortograph.errors import listed

if TYPE_CHECKING:
    from sortograph.records import AbstainRow, Estimate, EvaluationResult, Rejected, Trust

_MAIN = "accuracy"
_UNSEEN = "accuracy_unseen"
_TAUGHT = "train"
# Metrics that are no shares.
_PLAIN = ("log_loss", "log_loss_uncalibrated", "brier", "auroc", "average_precision")
# Splits that can tell whether calibration holds, the best first.
_CHECKED = ("test", "new")
# Classes up to which all pairs are shown, and how many pairs beyond.
_WIDEST = 12
_MISTAKES = 20
# Files that cannot be used.
_SHOWN = 10


def show_evaluation(
    evaluation: Mapping[str, EvaluationResult], *, verbose: bool, trust: Trust | None = None
) -> None:
    """Accuracy of all splits side by side, each with n and its interval, the gaps between them, and how far
    answers may be trusted."""
    if not evaluation:
        return
    tables.show(_accuracies(evaluation))
    for line in (*_headline(evaluation), *_chose(evaluation), *_gaps(evaluation)):
        streams.out(line)
    if trust is not None:
        streams.out(_calibrated(trust, evaluation))
        if trust.lacking:
            none = listed(trust.lacking, 5)
            streams.out(streams.safe(f"none of them is of {none}: nothing is promised of those"))
        for line in _withholding(trust.abstain):
            streams.out(line)
    if verbose:
        for result in evaluation.values():
            _show_details(result)


def show_places(
    places: Sequence[tuple[str, Path | None]], model: Path, photos: str | Path = "PHOTOS"
) -> None:
    """Where things are, and what to type next."""
    known = [(name, str(place)) for name, place in places if place is not None]
    tables.facts([*known, ("next", tables.command(words.PROGRAM, "predict", model, photos))])


def show_left_out(rejected: Sequence[Rejected], ignored: int, *, verbose: bool) -> None:
    """Photos that could not be used and why; of many only the first, unless `verbose`."""
    if rejected:
        streams.out(f"cannot be used: {len(rejected)}")
        listed = rejected if verbose else rejected[:_SHOWN]
        for file in listed:
            streams.out(streams.safe(f"  {file.path}: {file.reason}"))
        if len(listed) < len(rejected):
            streams.out(f"  and {len(rejected) - len(listed)} more (--verbose lists all)")
    if ignored:
        streams.out(f"no photos, left aside: {ignored}")


def _accuracies(evaluation: Mapping[str, EvaluationResult]) -> tables.Table:
    """A row per split; where a split shares photos with train, how many, and a row for the others."""
    found = {split: result for split, result in evaluation.items() if _MAIN in result.metrics}
    level = next((100 * result.metrics[_MAIN].level for result in found.values()), 95)
    header = ("split", "photos", _MAIN, f"{level:g} % interval")
    if not any(_TAUGHT in result.leaks for result in found.values()):
        return tables.Table(header, "lrrr", tuple(_row(s, r.metrics[_MAIN]) for s, r in found.items()))
    rows = []
    for split, result in found.items():
        rows.append((*_row(split, result.metrics[_MAIN]), str(result.leaks.get(_TAUGHT, ""))))
        if _UNSEEN in result.metrics:
            rows.append((*_row(f"{split}, not in {_TAUGHT}", result.metrics[_UNSEEN]), ""))
    return tables.Table((*header, f"also in {_TAUGHT}"), "lrrrr", tuple(rows))


def _row(name: str, estimate: Estimate) -> tuple[str, str, str, str]:
    return name, str(estimate.n), tables.percent(estimate.value), _interval(estimate)


def _headline(evaluation: Mapping[str, EvaluationResult]) -> list[str]:
    """What to expect of the model, in a sentence: how it did on the photos that nothing was chosen by."""
    if set(evaluation) == {_TAUGHT}:
        return [
            "Nothing was held out: this is how well the model fits the photos that it was trained on, "
            "and says nothing about new photos."
        ]
    if "test" not in evaluation:
        return []
    result = evaluation["test"]
    test, seen = result.metrics[_MAIN], result.leaks.get(_TAUGHT, 0)
    named = f"It named {tables.percent(test.value)} of {test.n} test photos correctly"
    if seen:
        others = _others(result.metrics.get(_UNSEEN))
        return [f"{named}, but training has seen {seen} of them, or nearly: {others}"]
    chosen = result.leaks.get("validation", 0)
    but = f" (though {chosen} of them are validation photos, too)" if chosen else ""
    return [f"{named}, which training never saw{but}; of more photos like them, expect {_interval(test)} %."]


def _others(unseen: Estimate | None) -> str:
    """What is left to say where test photos were taught."""
    if unseen is None:
        return "this says nothing of new photos."
    return (
        f"it named {tables.percent(unseen.value)} of the {unseen.n} others correctly; "
        f"of more photos like those, expect {_interval(unseen)} %."
    )


def _gaps(evaluation: Mapping[str, EvaluationResult]) -> list[str]:
    """Of each pair of splits once, in their order."""
    lines = []
    for first, second in combinations(evaluation, 2):
        result, key = evaluation[first], f"{_MAIN}: {first} - {second}"
        if key in result.gaps:
            ends = result.gap_intervals.get(key)
            level = 100 * result.metrics[_MAIN].level
            within = f" ({level:g} %: {_points(ends[0])} to {_points(ends[1])})" if ends else ""
            lines.append(f"gap {first} − {second}: {_points(result.gaps[key])} points{within}")
    return lines


def _chose(evaluation: Mapping[str, EvaluationResult]) -> list[str]:
    """That a figure is not for judging, where its photos chose."""
    return [
        f"{result.chose} of the {result.n} {split} photos are for choosing the model."
        for split, result in evaluation.items()
        if result.chose
    ]


def _calibrated(trust: Trust, evaluation: Mapping[str, EvaluationResult]) -> str:
    """By what, and what the calibration error was before and is now, on photos that had no part in it."""
    line = f"calibrated on {trust.n} {trust.split} photos: temperature {trust.temperature:.2f}"
    judge = next((evaluation[split] for split in _CHECKED if split in evaluation), None)
    error = judge.metrics.get("ece") if judge else None
    if judge is None or error is None:
        return line
    before = judge.metrics.get("ece_uncalibrated")
    change = f"{100 * before.value:.1f} → " if before else ""
    return (
        f"{line}, calibration error {change}{tables.percent(error.value)} "
        f"({_interval(error)}; {judge.split}, n = {error.n})"
    )


def _withholding(rows: Sequence[AbstainRow]) -> list[str]:
    """The strictest promise that can be kept, and what it costs."""
    kept = [row for row in rows if row.threshold is not None]
    if not kept:
        laxest = max(rows, key=lambda row: row.error, default=None)
        return [f"at most {100 * laxest.error:g} % wrong is {laxest.reason}"] if laxest else []
    row = min(kept, key=lambda row: row.error)
    error = f"{100 * row.error:g}"
    if row.coverage >= 1:
        return [f"all answers given: at most {error} % wrong (n = {row.n})"]
    return [
        f"--max-error {error}%: {tables.percent(row.coverage)} of photos answered, at most {error} % of them "
        f"wrong (n = {row.n})"
    ]


def _points(difference: float) -> str:
    sign = "−" if difference < 0 else "+"
    return f"{sign}{abs(100 * difference):.1f}"


def _show_details(result: EvaluationResult) -> None:
    streams.out()
    rows = [(name, *_figure(name, estimate)) for name, estimate in result.metrics.items()]
    tables.show(tables.Table((result.split, "value", "interval"), "lrr", tuple(rows)))
    scores = [
        (s.name, *(tables.percent(e.value) for e in (s.precision, s.recall, s.f1)), str(s.support))
        for s in result.per_class
    ]
    header = (result.split, "precision", "recall", "F1", "photos")
    tables.show(tables.Table(header, "lrrrr", tuple(scores)))
    tables.show(_confusion(result))


def _confusion(result: EvaluationResult) -> tables.Table:
    """Truth against prediction; of many classes only what was mistaken for what, most often first."""
    names, counts = [score.name for score in result.per_class], result.confusion.tolist()
    if len(names) <= _WIDEST:
        cells = [(name, *map(str, row)) for name, row in zip(names, counts, strict=True)]
        return tables.Table(("truth \\ predicted", *names), "l" + "r" * len(names), tuple(cells))
    pairs = [(counts[t][p], t, p) for t, p in permutations(range(len(names)), 2) if counts[t][p]]
    mistakes = sorted(pairs, key=lambda pair: -pair[0])[:_MISTAKES]
    rows = [(names[truth], names[predicted], str(count)) for count, truth, predicted in mistakes]
    return tables.Table((f"{result.split}: truth", "predicted", "photos"), "llr", tuple(rows))


def _figure(name: str, estimate: Estimate) -> tuple[str, str]:
    if name in _PLAIN:
        return f"{estimate.value:.3f}", f"{estimate.low:.3f} – {estimate.high:.3f}"
    return tables.percent(estimate.value), _interval(estimate)


def _interval(estimate: Estimate) -> str:
    return f"{100 * estimate.low:.1f} – {100 * estimate.high:.1f}"
