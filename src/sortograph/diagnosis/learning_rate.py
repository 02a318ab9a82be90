"""learning-rate and unstable: steps that overshoot."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from sortograph.diagnosis import remedies, words
from sortograph.diagnosis.curves import accuracy_error, epoch_error, rises
from sortograph.diagnosis.gradients import (
    OVERSHOT,
    died,
    has_exploded,
    has_overshot,
    is_starved_from_the_start,
)
from sortograph.diagnosis.view import RunView, Skip
from sortograph.errors import counted
from sortograph.records import Remedy, Verdict

NAMES = ("learning-rate", "unstable")
_WELL = 0.95  # training photos named right by a run that has come over its start
_RISE = 0.05  # of the loss of chance: a rise of the training loss that is worth a word
_NOISE = 2.0  # standard errors that it must have, too
_ZIGZAG, _ZIGZAGS = 0.2, 3  # share of the epochs, and their number, in which the training loss rises so
_JUMPS, _SURE = 3, 3.0  # jumps of the validation accuracy, and the standard errors that make one
_SPIKES = 2  # of the training loss
_SETTLED = 3  # a third of the epochs in which nothing is expected to be steady
_LARGE = {"sgd": 0.5, "adam": 2e-2, "adamw": 2e-2}


def judge(view: RunView) -> Iterator[Verdict | Skip]:
    reason = view.why_no_history if not has_exploded(view) else ""
    if reason:
        yield from (Skip(name, reason) for name in NAMES)
        return
    found = _failed(view) or _at_chance(view) or _zigzag(view) or _overshot(view)
    if found is not None:
        yield found
        yield Skip("unstable", "the learning rate explains it")
    else:
        yield from _unstable(view)


def _failed(view: RunView) -> Verdict | None:
    if not has_exploded(view):
        return None
    rate = view.get(view.rate_key)
    return _verdict(
        view, f"the run ended because {view.log.failure}; the learning rate was {rate:g}", 0.9, 10
    )


def _at_chance(view: RunView) -> Verdict | None:
    """A loss that is not clearly below what class frequencies alone give, though steps were large."""
    losses, chance = view.values("train_loss"), view.chance_loss
    if not view.ends_at_chance or is_starved_from_the_start(view):
        return None
    overshot, rate = has_overshot(view), view.get(view.rate_key)
    if not (overshot or died(view) or rate >= _LARGE[view.get("train.optimiser")]):
        return None
    grew = f", after {losses.max():.3g} in epoch {int(losses.argmax()) + 1}" if overshot else ""
    dead = "; the gradients of its first layers are gone" if died(view) else ""
    right, usual = words.percent(view.history[-1].train_accuracy), words.percent(view.majority)
    what = "it has lost what it had learned" if view.has_learned else "it has learned nothing"
    message = (
        f"{what}: the training loss ended at {losses[-1]:.3f}{grew}, where class frequencies alone give "
        f"{chance:.3f}; in the last epoch {right} of {view.photos('train')} training photos were named "
        f"right, and the most frequent class makes {usual} of them{dead}; the learning rate was {rate:g}"
    )
    return _verdict(view, message, 0.95, 100 if rate >= 0.05 and view.get("train.optimiser") != "sgd" else 10)


def _zigzag(view: RunView) -> Verdict | None:
    """A training loss that goes up again and again, by more than the photos of an epoch let it vary."""
    grown, after = _grown(view), max(1, len(view.history) // 10)
    times = int((grown[after:] > 0).sum())
    if times < max(_ZIGZAGS, _ZIGZAG * len(grown)):
        return None
    most = float(rises(view.values("train_loss")).max())
    message = (
        f"the training loss zigzags: it rose in {times} of {len(grown)} epochs by more than noise, by "
        f"{most:.2f} at the most (chance is {view.chance_loss:.2f}, {view.photos('train')} photos an epoch)"
    )
    right = view.history[-1].train_accuracy if view.taught is None else view.taught.metrics["accuracy"].value
    # The less was learned, the graver: underfitting is then only a consequence.
    return _verdict(view, message, words.clipped(0.55 + 0.5 * max(0.0, _WELL - right), most=0.9), 10)


def _overshot(view: RunView) -> Verdict | None:
    """A first epoch far above chance, from which the run has not recovered."""
    first, chance, taught = view.values("train_loss")[0], view.chance_loss, view.taught
    if first < OVERSHOT * chance or taught is None or taught.metrics["accuracy"].high >= _WELL:
        return None
    accuracy = words.share(taught.metrics["accuracy"], "training photos")
    message = (
        f"the first steps overshot: the training loss of epoch 1 was {first:.3g}, and {chance:.3f} is what "
        f"class frequencies alone give; the run ended at {accuracy}"
    )
    return _verdict(view, message, 0.4, 10)


def _grown(view: RunView) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Rises of the training loss beyond noise, 0 where there is none; float64 (N,)."""
    losses = view.values("train_loss")
    grown = rises(losses)
    before = np.concatenate([losses[:1], losses[:-1]])
    least = np.maximum(_RISE * view.chance_loss, _NOISE * epoch_error(before, view.photos("train")))
    return np.where(grown > least, grown, 0.0)


def _verdict(view: RunView, message: str, severity: float, factor: float) -> Verdict:
    losses = view.values("train_loss")
    rate = view.get(view.rate_key)
    return Verdict(
        name="learning-rate",
        message=message,
        severity=severity,
        figures={
            "learning_rate": rate,
            "chance_loss": round(view.chance_loss, 4),
            "first_loss": round(float(losses[0]), 4) if len(losses) else None,
            "last_loss": round(float(losses[-1]), 4) if len(losses) else None,
            "n": view.photos("train"),
        },
        remedies=_against(view, factor),
    )


def _against(view: RunView, factor: float) -> tuple[Remedy, ...]:
    return remedies.ranked(
        remedies.slower(view, factor),
        remedies.adam(view),
        remedies.clipping(view),
        remedies.normalised(view),
        remedies.decreasing(view),
    )


def _unstable(view: RunView) -> Iterator[Verdict | Skip]:
    """Spikes of the training loss, or jumps of the validation accuracy, once things should be steady."""
    if len(view.history) < 2 * _SETTLED:
        yield Skip("unstable", f"{len(view.history)} epochs are too few to tell")
        return
    start = len(view.history) // _SETTLED
    spikes = int((_grown(view)[start:] > 0).sum())
    jumps = _jumps(view, start) if view.is_validated else 0
    many = max(_JUMPS, _ZIGZAG * (len(view.history) - start))
    if spikes < _SPIKES and jumps < many:
        return
    told = []
    if spikes:
        told.append(f"the training loss jumped up {counted(spikes, 'time')}")
    if jumps:
        told.append(
            f"the accuracy on {view.watched} validation photos moved {counted(jumps, 'time')} beyond noise"
        )
    after = f"in the {len(view.history) - start} epochs after epoch {start}"
    yield Verdict(
        name="unstable",
        message=f"{after}, {' and '.join(told)}, from one epoch to the next",
        severity=words.clipped(0.3 + 0.05 * spikes + 0.02 * jumps, most=0.6),
        figures={"spikes": spikes, "jumps": jumps, "n": view.watched, "after_epoch": start},
        remedies=remedies.ranked(
            remedies.decreasing(view),
            remedies.slower(view, 3),
            remedies.larger_batches(view),
            remedies.clipping(view),
        ),
    )


def _jumps(view: RunView, start: int) -> int:
    """Changes of the validation accuracy that even two other draws of photos would hardly show."""
    accuracies = view.values("validation_accuracy")
    error = accuracy_error(float(np.median(accuracies[start:])), view.watched) * math.sqrt(2)
    return int((np.abs(np.diff(accuracies[start:])) > _SURE * error).sum())
