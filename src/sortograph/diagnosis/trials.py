"""Remedies that are tried: which, in what order, for how many epochs, and what they did."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from sortograph.errors import counted
from sortograph.evaluation import difference, paired_difference
from sortograph.evaluation.compare import grouped_differences
from sortograph.evaluation.intervals import share_of, z_value
from sortograph.records import (
    Diagnosis,
    Estimate,
    EvaluationResult,
    PredictionTable,
    Remedy,
    Trial,
    Verdict,
)

LEAST_EPOCHS = 5
BASELINE = Remedy("the recipe as it is", "what the others are compared with")
_MOST = 8  # remedies
_ERROR = 0.05  # of all remedies together
_BY_LENGTH = ("train.epochs", "finetune.epochs", "train.early_stopping")
_TOO_SHORT = "not tried: what the number of epochs does cannot be seen in short runs"
_NO_TIME = "not tried: the budget is used up"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run has made of the photos: tables and results of "train" and "validation".

    groups  split → int64 (N,), equal for photos that belong together; None where each stands for itself
    """

    tables: Mapping[str, PredictionTable]
    results: Mapping[str, EvaluationResult]
    epochs: int | None
    seconds: float
    groups: Mapping[str, NDArray[np.int64] | None] = field(default_factory=dict)


def candidates(diagnosis: Diagnosis) -> tuple[Trial, ...]:
    """Remedies to be tried, the gravest verdict's first, of each the most promising first; none twice.

    Those whose effect lies in the number of epochs are told, and not tried. Another cut is left out: its
    validation photos are others.
    """
    found: dict[tuple[str, tuple[str, ...]], Trial] = {}
    for verdict in diagnosis.verdicts:
        for remedy in verdict.remedies:
            if remedy.trains and (remedy.recipe or not _changes(remedy, ("split.", "data."))):
                note = _TOO_SHORT if _changes(remedy, _BY_LENGTH) else ""
                found.setdefault((remedy.recipe, remedy.overrides), Trial(remedy, verdict.name, note=note))
    return tuple(found.values())[:_MOST]


def _changes(remedy: Remedy, keys: tuple[str, ...]) -> bool:
    return any(change.startswith(keys) for change in remedy.overrides)


def affordable(epochs: int, trials: int, each: float, budget: float) -> tuple[int, int]:
    """(epochs of every run, remedies that there is time for), the baseline being one more run.

    epochs: of the recipe; each: seconds of an epoch; budget: seconds of all runs together

    >>> affordable(20, 4, 1.0, 100.0), affordable(20, 4, 1.0, 60.0), affordable(20, 4, 1.0, 22.0)
    ((20, 4), (12, 4), (5, 3))
    """
    possible = int(budget / max(each, 1e-9) / (trials + 1))
    length = min(epochs, max(LEAST_EPOCHS, possible))
    runs = int(budget / max(each * length, 1e-9)) - 1
    return length, min(trials, max(1, runs))


def cut(trials: Sequence[Trial], count: int) -> tuple[Trial, ...]:
    """All but the first `count` of those that can be tried, told as not tried."""
    left, told = count, []
    for trial in trials:
        if not trial.note and left <= 0:
            trial = replace(trial, note=_NO_TIME)
        left -= not trial.note
        told.append(trial)
    return tuple(told)


def level_for(trials: Sequence[Trial]) -> float:
    """Of the interval of each remedy that is tried, so that all of them together hold at 95 % (Bonferroni).

    Of several useless remedies the luckiest would else look helpful too often.

    >>> level_for([Trial(BASELINE)] * 5), level_for([Trial(BASELINE, note="not tried")])
    (0.99, 0.95)
    """
    return 1 - _ERROR / max(1, sum(not trial.note for trial in trials))


def corrected_for(trials: Sequence[Trial]) -> int:
    """How many remedies the level of the intervals allows for; 0 where no difference was measured."""
    levels = [trial.difference.level for trial in trials if trial.difference is not None]
    return round(_ERROR / (1 - max(levels))) if levels else 0


def baseline(outcome: Outcome) -> Trial:
    return _judged(Trial(BASELINE), outcome)


def compared(
    trial: Trial, outcome: Outcome, base: Outcome | None, chance: float, level: float = 1 - _ERROR
) -> Trial:
    """The trial with what it did; without a baseline, which has failed, it helps if it learns at all.

    chance: accuracy of always naming the most frequent class
    level: of the intervals that decide, see `level_for`
    """
    done = _judged(trial, outcome)
    if base is None:
        right, units = _right(outcome.tables["validation"]), outcome.groups.get("validation")
        return replace(done, helped=share_of(right, units, level).low > chance)
    changes = {split: _paired(base, outcome, split, level) for split in base.tables}
    gap = gap_change(changes["train"], changes["validation"])
    short = done.epochs is not None and base.epochs is not None and done.epochs < base.epochs
    if short:
        note = f"ended after {counted(done.epochs or 0, 'epoch')}, the baseline after {base.epochs}"
        return replace(done, difference=changes["validation"], gap_change=gap, note=note)
    return replace(
        done,
        difference=changes["validation"],
        gap_change=gap,
        helped=_helps(changes["validation"], gap, trial.verdict),
    )


def _judged(trial: Trial, outcome: Outcome) -> Trial:
    train, validation = (outcome.results[s].metrics["accuracy"] for s in ("train", "validation"))
    return replace(
        trial,
        epochs=outcome.epochs,
        accuracy=validation,
        gap=difference(train, validation),
        seconds=round(outcome.seconds, 1),
    )


def _paired(base: Outcome, other: Outcome, split: str, level: float) -> Estimate:
    before, after = _right(base.tables[split]), _right(other.tables[split])
    units = other.groups.get(split)
    if units is None:
        return paired_difference(before, after, level)
    return grouped_differences(np.array([after, before]), [(0, 1)], units, level)[0]


def _right(table: PredictionTable) -> NDArray[np.bool_]:
    right: NDArray[np.bool_] = table.predicted() == table.labels
    return right


def gap_change(train: Estimate, validation: Estimate) -> Estimate:
    """Change of (train − validation) from the paired changes of both, which are of different photos.

    Zou and Donner, Statistics in Medicine 27 (2008), 1693–1702 (MOVER).
    """
    value = train.value - validation.value
    low = value - math.hypot(train.value - train.low, validation.high - validation.value)
    high = value + math.hypot(train.high - train.value, validation.value - validation.low)
    return Estimate(value, low, high, train.level, train.n + validation.n, "mover of paired differences")


def _helps(change: Estimate, gap: Estimate, verdict: str) -> bool:
    """Surely better; or, against overfitting, a gap surely smaller, at a cost within one standard error."""
    error = (change.high - change.low) / (2 * z_value(change.level))
    closes = gap.high < 0 and change.value >= -error
    return change.low > 0 or (closes and verdict in ("overfitting", "data-limited"))


def best(trials: Sequence[Trial]) -> Trial | None:
    """Of those that helped, the one with the greatest accuracy, then with the smallest gap."""
    helped = [trial for trial in trials if trial.helped]
    if not helped:
        return None
    return max(helped, key=lambda one: (_value(one.accuracy), -_value(one.gap)))


def _value(estimate: Estimate | None) -> float:
    return -math.inf if estimate is None else estimate.value


def measured(verdicts: Sequence[Verdict], trials: Sequence[Trial]) -> tuple[Verdict, ...]:
    """The verdicts with measured gains in the place of guesses, and their remedies in that order."""
    gains = {
        (trial.remedy.recipe, trial.remedy.overrides): trial.difference.value
        for trial in trials
        if trial.difference is not None and trial.verdict
    }
    return tuple(replace(one, remedies=_measured(one.remedies, gains)) for one in verdicts)


def _measured(
    remedies: Sequence[Remedy], gains: Mapping[tuple[str, tuple[str, ...]], float]
) -> tuple[Remedy, ...]:
    """What was measured goes before what is guessed."""
    told = [
        replace(one, gain=round(100 * gains[one.recipe, one.overrides], 1), guess=False)
        if one.trains and (one.recipe, one.overrides) in gains
        else one
        for one in remedies
    ]
    return tuple(sorted(told, key=lambda one: (one.guess, math.inf if one.gain is None else -one.gain)))
