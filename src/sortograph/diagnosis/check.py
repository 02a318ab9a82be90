"""All families in order, and "healthy" where none of them has anything to say."""

from __future__ import annotations

from dataclasses import replace

from sortograph.diagnosis import (
    classes,
    epochs,
    gradients,
    leak,
    learning_rate,
    overfitting,
    photos,
    remedies,
    splits,
    underfitting,
    words,
)
from sortograph.diagnosis.log import RunLog
from sortograph.diagnosis.view import RunView, Skip
from sortograph.records import DatasetIndex, Diagnosis, LearningCurve, Remedy, RunRecord, Verdict

_FAMILIES = (leak, gradients, learning_rate, underfitting, overfitting, epochs, splits, classes, photos)
VERDICTS = (*(name for family in _FAMILIES for name in family.NAMES), "healthy")
_CONSEQUENCES = ("underfitting", "overfitting", "too-many-epochs", "starved-class", "data-limited")
_EXPLAINED = dict.fromkeys(("learning-rate", "exploding-gradients", "vanishing-gradients"), _CONSEQUENCES)
"""What is only a consequence of another verdict is not told twice."""
_GRAVE = 0.8  # a cause of that severity explains the others


def verdicts(
    record: RunRecord,
    index: DatasetIndex,
    *,
    log: RunLog | None = None,
    curve: LearningCurve | None = None,
) -> Diagnosis:
    """What the records of a run tell, the gravest first; nothing is read or computed anew.

    index: the photos of the run, by class and split
    log: of a run that has failed, whose history was never written
    curve: a learning curve, which then decides about `data-limited`

    Every verdict that could not be judged is named in `skipped`, with the reason.
    """
    view = RunView(record, index, log or RunLog())
    found: list[Verdict] = []
    skipped: dict[str, str] = {}
    for family in _FAMILIES:
        for one in family.judge(view):
            if isinstance(one, Skip):
                skipped[one.name] = one.reason
            else:
                found.append(one)
    if curve is not None:
        found, skipped = _with_curve(curve, found, skipped)
    found, explained = _without_consequences(found)
    skipped = {**skipped, **explained}
    if not found:
        found, skipped = _healthy(view, skipped)
    ordered = sorted(found, key=lambda verdict: (-verdict.severity, VERDICTS.index(verdict.name)))
    return Diagnosis(record.folder, tuple(ordered), skipped, curve)


def _with_curve(
    curve: LearningCurve, found: list[Verdict], skipped: dict[str, str]
) -> tuple[list[Verdict], dict[str, str]]:
    kept = [verdict for verdict in found if verdict.name not in photos.NAMES]
    rest = {name: reason for name, reason in skipped.items() if name not in photos.NAMES}
    if not curve.stand_in:
        kept = [replace(verdict, remedies=_told(verdict.remedies, curve)) for verdict in kept]
    verdict = photos.from_curve(curve)
    return ([*kept, verdict] if verdict is not None else kept), rest


def _told(given: tuple[Remedy, ...], curve: LearningCurve) -> tuple[Remedy, ...]:
    """What more photos bring, the curve has measured: no rule of thumb beside it. Where that may be nothing,
    they are no remedy."""
    kept: list[Remedy] = []
    for one in given:
        if one.text != remedies.TWICE:
            kept.append(one)
        elif curve.doubling.low > 0:
            why = "by the learning curve" + (f"; {one.why}" if one.why else "")
            gain = round(100 * curve.doubling.value, 1)
            kept.append(replace(one, gain=gain, guess=False, why=why))
    return remedies.ranked(*kept)


def _without_consequences(found: list[Verdict]) -> tuple[list[Verdict], dict[str, str]]:
    causes = {verdict.name for verdict in found if verdict.severity >= _GRAVE}
    explained = {
        name: f"{cause} explains it" for cause in _EXPLAINED if cause in causes for name in _EXPLAINED[cause]
    }
    gone = {verdict.name: explained[verdict.name] for verdict in found if verdict.name in explained}
    return [verdict for verdict in found if verdict.name not in gone], gone


def _healthy(view: RunView, skipped: dict[str, str]) -> tuple[list[Verdict], dict[str, str]]:
    """Nothing wrong, provided that something was judged."""
    result, accuracy = view.held_out, view.accuracy
    if result is None or accuracy is None or view.record.status == "failed":
        reason = "the run has failed" if view.record.status == "failed" else "no held-out photos were judged"
        return [], {**skipped, "healthy": reason}
    gap = view.gap
    beside = "" if gap is None or view.kind == "head" else f"; the gap to train is {words.points(gap)}"
    some = f"; {len(skipped)} verdicts could not be judged" if len(skipped) > 1 else ""
    told = words.share(accuracy, f"{result.split} photos")
    verdict = Verdict(
        name="healthy",
        message=f"nothing is wrong that the records can show: {told} are named right{beside}{some}",
        severity=0.0,
        figures={
            result.split: words.figures(accuracy),
            **({} if gap is None else {"gap": words.figures(gap)}),
        },
    )
    return [verdict], skipped
