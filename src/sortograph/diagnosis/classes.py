"""starved-class: a class that is named worse than the others, and has far fewer photos to train on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sortograph.diagnosis import remedies, thumb, words
from sortograph.diagnosis.view import RunView, Skip
from sortograph.errors import counted, listed
from sortograph.evaluation import difference, wilson
from sortograph.evaluation.intervals import z_value
from sortograph.records import Estimate, Remedy, Verdict

NAMES = ("starved-class",)
_FEW = 0.5  # of the photos of the median class
_LEAST = 5  # held-out photos of a class, below which nothing is said of it


def judge(view: RunView) -> Iterator[Verdict | Skip]:
    """One verdict with all such classes, the worst first."""
    result, counts = view.held_out, view.class_counts
    if result is None:
        yield Skip("starved-class", "no held-out photos were judged")
        return
    if view.has_learned is False:
        yield Skip("starved-class", "the model has learned nothing of any class")
        return
    few = [k for k, n in enumerate(counts) if n <= _FEW * np.median(counts)]
    found = [(k, gap) for k in few if (gap := _shortfall(view, k)) is not None and gap.low > 0]
    unseen = [result.per_class[k].name for k in few if result.per_class[k].support < _LEAST]
    if found:
        yield _verdict(view, sorted(found, key=lambda pair: -pair[1].low))
    elif unseen:
        named = ", ".join(unseen[:5])
        yield Skip("starved-class", f"too few {result.split} photos to tell of the small classes {named}")


def _shortfall(view: RunView, k: int) -> Estimate | None:
    """Recall of the other classes together minus that of one, at a level for as many looks as classes."""
    assert view.held_out is not None
    matrix = view.held_out.confusion
    support, right = int(matrix[k].sum()), int(matrix[k, k])
    others = int(matrix.sum()) - support
    if support < _LEAST or others < _LEAST:
        return None
    level = 1 - 0.05 / len(matrix)
    assert z_value(level) > 0
    rest = wilson(int(matrix.trace()) - right, others, level)
    return difference(rest, wilson(right, support, level))


def _verdict(view: RunView, found: list[tuple[int, Estimate]]) -> Verdict:
    assert view.held_out is not None
    result, counts = view.held_out, view.class_counts
    told = listed((_told(view, k, gap) for k, gap in found), 3, "; ")
    lost = sum(gap.value * result.per_class[k].support for k, gap in found) / max(1, result.n)
    return Verdict(
        name="starved-class",
        message=told,
        severity=words.clipped(0.35 + 0.5 * found[0][1].low, most=0.7),
        figures={
            "classes": {
                result.per_class[k].name: {
                    "train": int(counts[k]),
                    "recall": words.figures(result.per_class[k].recall),
                    "shortfall": words.figures(gap),
                }
                for k, gap in found
            },
            "median": float(np.median(counts)),
        },
        remedies=_against(view, [k for k, _ in found], lost),
    )


def _told(view: RunView, k: int, gap: Estimate) -> str:
    assert view.held_out is not None
    score, counts = view.held_out.per_class[k], view.class_counts
    photos, median = counted(int(counts[k]), "training photo"), np.median(counts)
    named = words.share(score.recall, f"{view.held_out.split} photos")
    return (
        f"{score.name} has {photos} (median class {median:.0f}) and is recognised in {named}, "
        f"{words.points(gap)} below the others"
    )


def _against(view: RunView, starved: list[int], lost: float) -> tuple[Remedy, ...]:
    names = ", ".join(view.index.classes[k] for k in starved[:3])
    lacking = int(np.median(view.class_counts) - view.class_counts[starved[0]])
    gain = thumb.gain(1.0, lost)
    photos = Remedy(
        f"more photos of {names}",
        f"{lacking} more of {view.index.classes[starved[0]]} would make it as large as the median class",
        gain=gain,
    )
    return remedies.ranked(photos, remedies.balanced(view, thumb.gain(thumb.CLASS_WEIGHTS, lost)))
