"""What the page says: records turned into short strings. Escaping is left to the template."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sortograph.errors import command
from sortograph.records import SPLITS, DatasetIndex, Estimate, EvaluationResult, Rung, RunRecord

# In the order of the table: name → title, meaning.
_METRICS = {
    "accuracy": ("accuracy", "share of photos named right"),
    "accuracy_unseen": (
        "accuracy on unseen photos",
        "the same without the photos that are also in train",
    ),
    "top5_accuracy": ("top-5 accuracy", "share of photos whose class is among the five likeliest"),
    "balanced_accuracy": ("balanced accuracy", "mean of the classes' recalls: every class counts alike"),
    "macro_f1": ("macro F1", "mean of the classes' F1"),
    "auroc": ("AUROC", "how often a photo of a class ranks above one of another; 0.5 is guessing"),
    "average_precision": ("average precision", "area below precision over recall, mean of the classes"),
    "log_loss": ("log loss", "mean cross-entropy in nats; lower is better"),
    "log_loss_uncalibrated": ("log loss before calibration", "the same without temperature"),
    "brier": ("Brier score", "squared distance of the probabilities from the truth, 0–2; lower is better"),
    "ece": ("calibration error", "how far probabilities lie from the share that is right (ECE)"),
    "ece_uncalibrated": ("calibration error before", "the same without temperature"),
}
_ORDER = tuple(_METRICS)
_RATES = (
    "accuracy",
    "accuracy_unseen",
    "top5_accuracy",
    "balanced_accuracy",
    "macro_f1",
    "ece",
    "ece_uncalibrated",
)


@dataclass(frozen=True, slots=True)
class Cell:
    """A number and its interval, as text; `low` to `high` in percent for drawing a bar."""

    value: str
    interval: str
    n: int
    at: float = 0.0
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True, slots=True)
class Gap:
    """How far two splits lie apart, as text; `interval` is "" where there is none."""

    value: str
    interval: str


@dataclass(frozen=True, slots=True)
class MetricRow:
    name: str
    meaning: str
    cells: tuple[Cell | None, ...]
    gaps: tuple[Gap, ...]


def judged(run: RunRecord) -> EvaluationResult | None:
    """The most honest result there is: test, else validation, else train."""
    return next((run.evaluation[s] for s in reversed(SPLITS) if s in run.evaluation), None)


def splits(run: RunRecord) -> list[EvaluationResult]:
    return [run.evaluation[split] for split in SPLITS if split in run.evaluation]


def rate(estimate: Estimate) -> Cell:
    """
    >>> rate(Estimate(0.893, 0.861, 0.92, 0.95, 337, "wilson")).interval
    '86.1 – 92.0 %'
    """
    ends = [100 * number for number in (estimate.value, estimate.low, estimate.high)]
    if not math.isfinite(ends[0]):
        return Cell("–", "", estimate.n)
    at, low, high = (min(100.0, max(0.0, end)) if math.isfinite(end) else ends[0] for end in ends)
    return Cell(f"{ends[0]:.1f} %", f"{low:.1f} – {high:.1f} %", estimate.n, at, low, high)


def number(estimate: Estimate) -> Cell:
    if not math.isfinite(estimate.value):
        return Cell("–", "", estimate.n)
    return Cell(f"{estimate.value:.3f}", f"{estimate.low:.3f} – {estimate.high:.3f}", estimate.n)


def metric_rows(run: RunRecord) -> list[MetricRow]:
    """One row a metric, one cell a split, known metrics first."""
    results = splits(run)
    names = dict.fromkeys(name for result in results for name in result.metrics)
    ordered = sorted(names, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))
    gaps = {
        key: _gap(key, gap, result.gap_intervals.get(key))
        for result in results
        for key, gap in result.gaps.items()
        if _is_forward(key)
    }
    return [
        MetricRow(
            name=title(name),
            meaning=_METRICS[name][1] if name in _METRICS else "",
            cells=tuple(_cell(name, result.metrics.get(name)) for result in results),
            gaps=tuple(gap for key, gap in gaps.items() if key.split(":")[0] == name),
        )
        for name in ordered
    ]


def title(metric: str) -> str:
    """
    >>> title("macro_f1"), title("of_my_own")
    ('macro F1', 'of my own')
    """
    return _METRICS[metric][0] if metric in _METRICS else metric.replace("_", " ")


def _cell(name: str, estimate: Estimate | None) -> Cell | None:
    if estimate is None:
        return None
    return rate(estimate) if name in _RATES else number(estimate)


def _is_forward(key: str) -> bool:
    """Each pair of splits once, in their order.

    >>> _is_forward("accuracy: train - test"), _is_forward("accuracy: test - train")
    (True, False)
    """
    pair = key.partition(": ")[2].split(" - ")
    return pair == sorted(pair, key=SPLITS.index)


def _gap(key: str, gap: float, ends: tuple[float, float] | None) -> Gap:
    """
    >>> _gap("accuracy: train - test", 0.04, (-0.01, 0.08))
    Gap(value='train − test: +4.0 points', interval='−1.0 to +8.0')
    """
    name, _, pair = key.partition(": ")
    size = f"{100 * gap:+.1f} points" if name in _RATES else f"{gap:+.3f}"
    interval = " to ".join(f"{100 * end:+.1f}" for end in ends) if ends else ""
    value = f"{pair.replace(' - ', ' − ')}: {size}"
    return Gap(value.replace("-", "−"), interval.replace("-", "−"))


def rung_rows(rungs: Sequence[Rung]) -> list[tuple[str, str, str, str]]:
    """Heads that were compared, best first: title, score with its standard error, log loss, seconds.

    >>> rung_rows([Rung("logistic", {"penalty": 0.01}, 0.953, 0.15, 0.008, folds=5, seconds=0.4)])
    [('logistic (penalty 0.01)', '95.3 % ± 0.8', '0.150', '0.4')]
    """
    return [
        (
            rung.title(),
            f"{100 * rung.score:.1f} % ± {100 * (rung.error or 0):.1f}",
            "–" if rung.log_loss is None else f"{rung.log_loss:.3f}",
            f"{rung.seconds:.1f}",
        )
        for rung in rungs
        if rung.score is not None
    ]


def status(run: RunRecord) -> str:
    """What became of the run, and where its weights come from."""
    done = run.history[-1].epoch if run.history else 0
    count = len(run.history)
    weights = f" The weights come from epoch {run.best_epoch}." if run.best_epoch is not None else ""
    if run.status == "finished":
        epochs = f" after {count} epoch{'s' if count != 1 else ''}" if count else ""
        return f"Finished{epochs}, {duration(run.seconds)}.{weights}"
    if run.status == "interrupted":
        where = f"after epoch {done}" if count else "before the first epoch was over"
        how = run.going_on(Path(run.folder.name))
        start = (
            "goes on from its last checkpoint" if how[0] == "--resume" else "begins anew, with what is kept,"
        )
        again = command("sortograph", "train", "PHOTOS", *how)
        return f"Interrupted {where}. It {start} with: {again}.{weights}"
    if run.status == "failed":
        return f"Failed after epoch {done}: log.txt in the run folder tells why.{weights}"
    return f"Still running: {done} epochs are done so far.{weights}"


def duration(seconds: float) -> str:
    """
    >>> duration(42.4), duration(130), duration(7300)
    ('42 s', '2 min 10 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def date(run_id: str) -> str:
    """
    >>> date("cnn-20261121-071558"), date("mine")
    ('2026-11-21 07:15', '')
    """
    found = re.search(r"(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)\d\d", run_id)
    return "{}-{}-{} {}:{}".format(*found.groups()) if found else ""


def settings(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested data as dotted keys with values written as in TOML.

    >>> list(settings({"epochs": 5, "optim": {"name": "adamw"}}))
    [('epochs', '5'), ('optim.name', '"adamw"')]
    """
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            yield from settings(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value, ensure_ascii=False, default=str)


def facts(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The same for people: text without quotation marks."""
    return [(key, value[1:-1] if value[:1] == '"' else value) for key, value in settings(data)]


def count_rows(index: DatasetIndex) -> tuple[list[str], list[tuple[str, list[int], int]], list[int]]:
    """Split names; per class its name, photos per split and their sum; sums per split and of all."""
    counts = index.counts()
    rows = [(name, [column[name] for column in counts.values()]) for name in index.classes]
    sums = [sum(column.values()) for column in counts.values()]
    return list(counts), [(name, row, sum(row)) for name, row in rows], [*sums, sum(sums)]
