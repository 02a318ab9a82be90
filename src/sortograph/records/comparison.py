"""Runs set against each other on the same photos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sortograph.records.dataset import Rejected
from sortograph.records.evaluation import Estimate


@dataclass(frozen=True, slots=True)
class Contender:
    """One of the runs that are compared.

    run       its folder as it was given, posix; what `Pair.a` and `Compared.chosen` name
    name      the folder's own name, or `run` where another one has the same
    size      bytes of its model.onnx
    accuracy  split → Estimate; "train", "validation" and what is compared on, as far as the run has them
    gap       accuracy on train minus that on validation; None where one is missing
    """

    run: str
    name: str
    recipe: str
    seed: int
    size: int
    seconds: float
    best_epoch: int | None
    accuracy: Mapping[str, Estimate]
    gap: Estimate | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "name": self.name,
            "recipe": self.recipe,
            "seed": self.seed,
            "bytes": self.size,
            "seconds": round(self.seconds, 3),
            "best_epoch": self.best_epoch,
            "evaluation": {
                split: {"n": estimate.n, "metrics": {"accuracy": asdict(estimate)}}
                for split, estimate in self.accuracy.items()
            },
            "gap": None if self.gap is None else asdict(self.gap),
        }


@dataclass(frozen=True, slots=True)
class Pair:
    """Two of the runs on the same photos.

    difference        accuracy of `a` minus accuracy of `b`, with the paired interval
    only_a, only_b    photos that one named right and the other did not
    p                 two-sided, by `test`
    p_corrected       by Holm for `comparisons` pairs; p itself where there is one
    """

    a: str
    b: str
    test: str
    difference: Estimate
    only_a: int
    only_b: int
    p: float
    p_corrected: float
    comparisons: int

    @property
    def shown(self) -> bool:
        """Whether the test tells the two apart at the level of the interval."""
        return self.p_corrected < round(1 - self.difference.level, 12)

    def to_json(self) -> dict[str, Any]:
        estimate = asdict(self.difference)
        return {
            "a": self.a,
            "b": self.b,
            "test": self.test,
            "difference": estimate.pop("value"),
            **estimate,
            "only_a": self.only_a,
            "only_b": self.only_b,
            "p": self.p,
            "p_corrected": self.p_corrected,
            "comparisons": self.comparisons,
        }

    def in_words(self, a: str, b: str) -> str:
        """The result as a sentence without a full stop; `a` and `b` are the names to call them by."""
        found = self.difference
        low, high = found.low, found.high
        if found.value < 0:
            a, b, low, high = b, a, -high, -low
        within = f"{100 * found.level:g} %: {_points(low)} to {_points(high)}"
        corrected = f", corrected for {self.comparisons} comparisons" if self.comparisons > 1 else ""
        told = f"({within}; {p_text(self.p_corrected)}{corrected})"
        if found.value == 0:
            return f"no difference shown: {a} and {b} named as many of the same {found.n} photos right {told}"
        more = (
            f"{a} named {_points(abs(found.value))} points more of the same {found.n} photos right than {b}"
        )
        return f"{more} {told}" if self.shown else f"no difference shown: {more} {told}"


@dataclass(frozen=True, slots=True)
class Choice:
    """What validation says of K runs, by their numbers.

    best    named the most validation photos right
    tied    those whose interval of the difference to `best` includes 0, and `best` itself; ascending
    chosen  one of `tied`
    by      what set it apart from the next: "alone" without a next, "gap", "size", "accuracy" or "order"
    """

    best: int
    tied: tuple[int, ...]
    chosen: int
    by: str


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """Photos of one class, and how many of them each run named right."""

    name: str
    n: int
    right: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """What `compare` found.

    split     what they are compared on: "test", or "photos" for photos that were given
    settings  values of the recipes that are not the same in all runs: key → one text a run
    tied      runs that validation cannot tell from the best; () where nothing was to be chosen
    reason    why `chosen` was chosen, in sentences
    rejected, ignored  of photos that were given
    """

    runs: tuple[Contender, ...]
    split: str
    pairs: tuple[Pair, ...]
    classes: tuple[ClassCounts, ...]
    settings: Mapping[str, tuple[str, ...]]
    tied: tuple[str, ...] = ()
    chosen: str | None = None
    reason: str = ""
    notes: tuple[str, ...] = ()
    page: Path | None = None
    rejected: tuple[Rejected, ...] = ()
    ignored: int = 0

    @property
    def names(self) -> dict[str, str]:
        """run → the name to call it by."""
        return {contender.run: contender.name for contender in self.runs}

    def in_words(self, pair: Pair) -> str:
        names = self.names
        return pair.in_words(names[pair.a], names[pair.b])

    def to_json(self) -> dict[str, Any]:
        return {
            "runs": [contender.to_json() for contender in self.runs],
            "split": self.split,
            "pairs": [{**pair.to_json(), "words": self.in_words(pair)} for pair in self.pairs],
            "classes": [asdict(counts) for counts in self.classes],
            "settings": {key: list(values) for key, values in self.settings.items()},
            "tied": list(self.tied),
            "chosen": self.chosen,
            "reason": self.reason,
            "notes": list(self.notes),
            "page": None if self.page is None else self.page.as_posix(),
            "rejected": [{"path": file.path, "reason": file.reason} for file in self.rejected],
            "ignored": self.ignored,
        }


def p_text(p: float) -> str:
    """
    >>> p_text(0.0304), p_text(0.4523), p_text(1.0), p_text(2e-9), p_text(0.0498)
    ('p = 0.03', 'p = 0.45', 'p = 1', 'p < 0.001', 'p = 0.0498')
    """
    if p < 0.001:
        return "p < 0.001"
    short = f"{p:.2g}"
    # On which side of 0.05 it lies must be seen.
    return f"p = {p:.3g}" if short == "0.05" else f"p = {short}"


def _points(share: float) -> str:
    """
    >>> _points(0.0316), _points(-0.019), _points(-0.0001)
    ('3.2', '−1.9', '0.0')
    """
    text = f"{100 * share:.1f}"
    return "0.0" if text == "-0.0" else text.replace("-", "−")
