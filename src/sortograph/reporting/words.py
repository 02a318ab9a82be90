"""What an accuracy means, in sentences for somebody who has not met an interval before."""

from __future__ import annotations

import math

from sortograph.records import EvaluationResult


def in_words(result: EvaluationResult | None) -> list[str]:
    """What to expect of new photos, and what stands against it."""
    if result is None or "accuracy" not in result.metrics:
        return ["This run has not been evaluated yet, so nothing can be said about new photos."]
    estimate = result.metrics["accuracy"]
    if not all(math.isfinite(end) for end in (estimate.value, estimate.low, estimate.high)):
        return ["There were no labelled photos to judge by, so nothing can be said about new photos."]
    words = _leaked(result)
    seen = "train" in result.leaks
    told = result.metrics.get("accuracy_unseen") if seen else estimate
    if told is not None:
        low, high = (round(100 * end) for end in (told.low, told.high))
        like, about = "the others" if seen else "these", _of_100(told.value)
        words.append(f"Of 100 new photos like {like}, about {about} would be named right ({low} to {high}).")
    words += _chosen_by(result)
    if result.split == "train":
        words.append("The model has learned these very photos: expect clearly less on new ones.")
    if told is not None and told.high - told.low > 0.2:
        words.append(f"The interval is wide because only {told.n} photos judged.")
    return words


def _of_100(share: float) -> int:
    """Rounded, but all only where all were.

    >>> _of_100(0.893), _of_100(0.996), _of_100(1.0)
    (89, 99, 100)
    """
    return round(100 * share) if share == 1 else min(99, round(100 * share))


def _chosen_by(result: EvaluationResult) -> list[str]:
    """That validation photos are no judges where they chose. Older runs did not count them."""
    if result.split != "validation" or (result.reliability and not result.chose):
        return []
    who = chose(result) if result.chose else "These photos helped to choose the model"
    return [f"{who}, so new ones may do a little worse."]


def chose(result: EvaluationResult) -> str:
    """Who chose the model, or is kept to choose among runs; "" where nobody of these photos is.

    >>> from types import SimpleNamespace
    >>> chose(SimpleNamespace(chose=59, n=118))
    '59 of these 118 photos are for choosing the model'
    """
    return f"{result.chose} of these {result.n} photos are for choosing the model" if result.chose else ""


def _leaked(result: EvaluationResult) -> list[str]:
    """What photos of this split do in the others, most serious first."""
    words = []
    if seen := result.leaks.get("train"):
        words.append(
            f"Training has seen {seen} of these {result.n} {result.split} photos, or nearly the same ones, "
            "so this number is too good."
        )
        if "accuracy_unseen" not in result.metrics:
            words.append("Nothing can be said about new photos: no photo is left that training has not seen.")
    if chosen := result.leaks.get("validation"):
        words.append(f"{chosen} of these {result.n} photos are validation photos, too.")
    return words


def drawn_from(result: EvaluationResult | None) -> str:
    """Where the photos of the sheet of predictions are from; that they were held out only if all were."""
    if result is None or result.split == "train" or "train" in result.leaks:
        return f"Photos of the {result.split if result else 'judged'} split"
    return "Photos held out from training"
