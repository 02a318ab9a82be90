"""data-limited: more photos would help, and nothing else as much."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sortograph.diagnosis import overfitting, remedies, words
from sortograph.diagnosis.view import RunView, Skip
from sortograph.records import LearningCurve, Remedy, Verdict

NAMES = ("data-limited",)
_FEW = 50  # training photos of the median class, below which a gap is likely to be for want of photos
_LEAST = 0.01  # accuracy that twice as many photos must promise


def judge(view: RunView) -> Iterator[Verdict | Skip]:
    """From records alone: a gap, and few photos of each class. `from_curve` measures it."""
    gap, counts = view.gap, view.class_counts
    median = float(np.median(counts)) if len(counts) else 0.0
    if gap is None or gap.low <= overfitting.LEAST or median >= _FEW:
        yield Skip("data-limited", "a learning curve tells: sortograph diagnose RUN --photos PHOTOS")
        return
    yield Verdict(
        name="data-limited",
        message=(
            f"the median class has {median:.0f} photos to train on, and held-out photos are named right less "
            f"often than those, by {words.points(gap)}: more photos would probably help"
        ),
        severity=0.3,
        figures={"median": median, "train": int(counts.sum()), "gap": words.figures(gap)},
        remedies=(remedies.more_photos(view),),
    )


def from_curve(curve: LearningCurve) -> Verdict | None:
    """The verdict that a learning curve gives: twice as many photos surely add something worth having."""
    rising = curve.doubling.low > 0 and curve.doubling.value >= _LEAST and curve.last_step.low > 0
    if not rising:
        return None
    first = next(iter(curve.classes.items()), None)
    why = ""
    if first is not None and first[1].low > 0:
        why = f"{first[0]} would gain the most: {words.points(first[1])} of recall"
    gain = round(100 * curve.doubling.value, 1)
    return Verdict(
        name="data-limited",
        message=curve.message,
        severity=words.clipped(0.3 + 3 * curve.doubling.low, most=0.7),
        figures={
            "doubling": words.figures(curve.doubling),
            "last_step": words.figures(curve.last_step),
            "exponent": round(curve.exponent, 3),
            "source": curve.source,
        },
        remedies=(Remedy(remedies.TWICE, why or "the curve still rises", gain=gain, guess=curve.stand_in),),
    )
