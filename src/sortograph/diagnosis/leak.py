"""leak: held-out photos that training has seen, or files that give the class away."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from sortograph.diagnosis import words
from sortograph.diagnosis.view import HELD_OUT, RunView, Skip
from sortograph.errors import counted
from sortograph.evaluation import wilson
from sortograph.records import SPLITS, Estimate, EvaluationResult, Remedy, Verdict, leaks

NAMES = ("leak",)
_TOO_GOOD = 0.98  # held-out photos named right, from which on it is asked what else may tell the class
_TELLS = 0.3  # share of the way from chance to certainty, as the audit's check `shortcuts` has it


def judge(view: RunView) -> Iterator[Verdict | Skip]:
    """The gravest of three: the same photos, photos of one group, files that tell the class."""
    if not any(split in view.index.splits for split in HELD_OUT):
        yield Skip("leak", "there are no held-out photos")
        return
    shared, groups = _shared(view), _groups(view)
    found = [*_too_good(view)]
    found += [_copies(view, shared)] if shared else []
    found += [_grouped(view, groups)] if groups else []
    if found:
        yield max(found, key=lambda verdict: verdict.severity)


def _shared(view: RunView) -> dict[str, int]:
    """ "train/test" → photos of test that also lie in train, or nearly."""
    told = leaks(view.record.evaluation)
    return told or {f"{first}/{second}": n for (first, second), n in view.index.overlaps().items()}


def _copies(view: RunView, shared: Mapping[str, int]) -> Verdict:
    of_train = {split: shared.get(f"train/{split}", 0) for split in HELD_OUT}
    shares = {split: n / max(1, view.photos(split)) for split, n in of_train.items()}
    told = [
        f"{n} of {counted(view.photos(pair.split('/')[1]), pair.split('/')[1] + ' photo')} also in "
        f"{pair.split('/')[0]}"
        for pair, n in shared.items()
    ]
    worst = max(HELD_OUT, key=lambda split: shares[split])
    share = max(shares[worst], 0.25 * max(n / max(1, len(view.index)) for n in shared.values()))
    return Verdict(
        name="leak",
        message=f"photos lie in two splits, or nearly the same: {', '.join(told)}{_seen(view, worst)}",
        severity=words.clipped(0.2 + 0.7 * math.sqrt(min(1.0, share / 0.3))),
        figures={"shared": dict(shared), "share": round(shares[worst], 4), **_unseen(view, worst)},
        remedies=(
            Remedy(
                "take them out of the held-out splits: sortograph audit PHOTOS --fix plan.json",
                "only photos that training never saw tell what to expect of new ones",
            ),
        ),
    )


def _seen(view: RunView, split: str) -> str:
    result = view.record.evaluation.get(split)
    if result is None or not result.leaks.get("train"):
        return ""
    every, others = result.metrics["accuracy"], result.metrics.get("accuracy_unseen")
    if others is None:
        return f"; its {words.percent(every.value)} say nothing of new photos"
    rest = words.share(others, "photos")
    return f"; {words.percent(every.value)} of all are named right, of the others {rest}"


def _unseen(view: RunView, split: str) -> dict[str, object]:
    result = view.record.evaluation.get(split)
    others = None if result is None else result.metrics.get("accuracy_unseen")
    return {} if others is None else {"accuracy_unseen": words.figures(others)}


def _groups(view: RunView) -> dict[str, int]:
    """Held-out split → photos of a group that train has photos of, too."""
    index = view.index
    taught = {index.groups[row] for row in index.rows("train")} - {""}
    counts = {s: sum(index.groups[row] in taught for row in index.rows(s)) for s in SPLITS[1:]}
    return {split: n for split, n in counts.items() if n}


def _grouped(view: RunView, groups: Mapping[str, int]) -> Verdict:
    told = [f"{n} of {view.photos(split)} {split} photos" for split, n in groups.items()]
    share = max(n / view.photos(split) for split, n in groups.items())
    return Verdict(
        name="leak",
        message=f"{' and '.join(told)} are of a group that train has photos of, too: easier than new ones",
        severity=words.clipped(0.2 + 0.6 * math.sqrt(min(1.0, share / 0.3))),
        figures={"groups": dict(groups), "share": round(share, 4)},
        remedies=(
            Remedy(
                "put all photos of a group into one split",
                "photos of one person, place or series resemble each other",
            ),
        ),
    )


def _too_good(view: RunView) -> Iterator[Verdict]:
    """Nearly no error, and files whose size alone tells the class: a network takes the easiest cue."""
    result = view.held_out
    if result is None or result.metrics["accuracy"].value < _TOO_GOOD:
        return
    told = _told_by_size(view, result)
    strength = (told.low - view.majority) / (1 - view.majority) if view.majority < 1 else 0.0
    if strength < _TELLS:
        return
    accuracy = words.share(result.metrics["accuracy"], f"{result.split} photos")
    yield Verdict(
        name="leak",
        message=(
            f"{accuracy} named right may be too good: width and height of the file alone tell the class of "
            f"{words.percent(told.value)} of them, where the most frequent class makes "
            f"{words.percent(view.majority)}; the model may know sources rather than subjects"
        ),
        severity=0.4,
        figures={"told_by_size": words.figures(told), "chance": round(view.majority, 4)},
        remedies=(
            Remedy(
                "judge it on photos of your own: sortograph evaluate RUN PHOTOS",
                "they do not come from the source that a class was collected from",
            ),
            Remedy(
                "look for what gives classes away: sortograph audit PHOTOS",
                "its check `shortcuts` looks at formats, sizes, frames and brightness",
            ),
        ),
    )


def _told_by_size(view: RunView, result: EvaluationResult) -> Estimate:
    """Held-out photos that the most frequent class of their width and height in train names right."""
    index = view.index
    seen: dict[tuple[int, int], Counter[int]] = {}
    for row in index.rows("train").tolist():
        size = (int(index.sizes[row, 0]), int(index.sizes[row, 1]))
        seen.setdefault(size, Counter())[int(index.labels[row])] += 1
    usual = int(view.class_counts.argmax())
    rows = index.rows(result.split)
    answers = np.array([_most(seen, index.sizes[row], usual) for row in rows])
    return wilson(int((answers == index.labels[rows]).sum()), len(rows))


def _most(
    seen: Mapping[tuple[int, int], Counter[int]], size: np.ndarray[tuple[int], np.dtype[np.int32]], usual: int
) -> int:
    counts = seen.get((int(size[0]), int(size[1])))
    return counts.most_common(1)[0][0] if counts else usual
