"""What runs and evaluations tell on stdout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, permutations
from pathlib import Path
from typing import TYPE_CHECKING

from sortograph.cli import streams, tables, words

if TYPE_CHECKING:
    from sortograph.records import Estimate, EvaluationResult

_MAIN = "accuracy"
# Metrics that are no shares.
_PLAIN = ("log_loss",)
# Classes up to which all pairs are shown, and how many pairs beyond.
_WIDEST = 12
_MISTAKES = 20


def show_evaluation(evaluation: Mapping[str, EvaluationResult], *, verbose: bool) -> None:
    """Accuracy of all splits side by side, each with n and its interval, and the gaps between them."""
    if not evaluation:
        return
    tables.show(_accuracies(evaluation))
    for line in (*_headline(evaluation), *_gaps(evaluation)):
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


def _accuracies(evaluation: Mapping[str, EvaluationResult]) -> tables.Table:
    found = {split: result.metrics[_MAIN] for split, result in evaluation.items() if _MAIN in result.metrics}
    level = next((100 * estimate.level for estimate in found.values()), 95)
    rows = [(split, str(est.n), tables.percent(est.value), _interval(est)) for split, est in found.items()]
    return tables.Table(("split", "photos", _MAIN, f"{level:g} % interval"), "lrrr", tuple(rows))


def _headline(evaluation: Mapping[str, EvaluationResult]) -> list[str]:
    """What to expect of the model, in a sentence: how it did on the photos that nothing was chosen by."""
    if "test" not in evaluation:
        return []
    test = evaluation["test"].metrics[_MAIN]
    return [
        f"It named {tables.percent(test.value)} of {test.n} test photos correctly, which training never saw; "
        f"of more photos like them, expect {_interval(test)} %."
    ]


def _gaps(evaluation: Mapping[str, EvaluationResult]) -> list[str]:
    """Of each pair of splits once, in their order."""
    lines = []
    for first, second in combinations(evaluation, 2):
        gap = evaluation[first].gaps.get(f"{_MAIN}: {first} - {second}")
        if gap is not None:
            sign = "−" if gap < 0 else "+"
            lines.append(f"gap {first} − {second}: {sign}{abs(100 * gap):.1f} points")
    return lines


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
