"""overfitting: the model knows its training photos better than others."""

from __future__ import annotations

from collections.abc import Iterator

from sortograph.diagnosis import remedies, words
from sortograph.diagnosis.view import RunView, Skip
from sortograph.records import Estimate, Remedy, Verdict

NAMES = ("overfitting",)
LEAST = 0.02  # a gap that may be smaller than that is not worth a remedy


def judge(view: RunView) -> Iterator[Verdict | Skip]:
    """The gap between train and held-out photos, where its interval lies above `LEAST`."""
    if reason := why_not(view):
        yield Skip("overfitting", reason)
        return
    gap = view.gap
    if gap is not None and gap.low > LEAST:
        yield _verdict(view, gap)


def why_not(view: RunView) -> str:
    """Why there is no gap to be judged; "" where there is."""
    if view.taught is None or view.held_out is None:
        return "training photos and held-out photos were not both judged"
    if not view.is_comparable:
        return f"all {view.held_out.split} photos are also in train"
    scores = [rung.score for rung in view.record.rungs if rung.score is not None]
    if view.kind == "head" and scores:
        best = view.record.rungs[0]
        train, held = view.taught.metrics["accuracy"], view.accuracy
        assert held is not None
        return (
            f"the head was chosen by {best.folds}-fold cross-validation within train, which gave "
            f"{words.percent(best.score or 0.0)}; that it names {words.percent(train.value)} of the photos "
            f"that taught it says nothing beside {words.share(held, f'{view.held_out.split} photos')}"
        )
    return ""


def _verdict(view: RunView, gap: Estimate) -> Verdict:
    assert view.taught is not None
    assert view.held_out is not None
    assert view.accuracy is not None
    train, split = view.taught.metrics["accuracy"], view.held_out.split
    seen = f", some of which also chose {_kept(view)}" if split == "validation" else ""
    return Verdict(
        name="overfitting",
        message=(
            f"it names {words.percent(train.value)} of {train.n} training photos right, but "
            f"{words.share(view.accuracy, f'{split} photos')}{seen}: a gap of {words.points(gap)}"
        ),
        severity=words.clipped(0.3 + 3 * gap.low, most=0.9),
        figures={
            "gap": words.figures(gap),
            "train": words.figures(train),
            split: words.figures(view.accuracy),
        },
        remedies=against(view, gap.value),
    )


def _kept(view: RunView) -> str:
    return f"epoch {view.record.best_epoch}" if view.record.best_epoch else "the model"


def against(view: RunView, gap: float) -> tuple[Remedy, ...]:
    """What makes a gap smaller; `gap` within 0–1."""
    return remedies.ranked(
        remedies.both(view, gap),
        remedies.augmentation(view, gap),
        remedies.dropout(view, gap),
        remedies.decay(view, gap),
        remedies.backbone(view),
        remedies.more_photos(view),
    )
