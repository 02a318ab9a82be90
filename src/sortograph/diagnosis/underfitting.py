"""underfitting: not even the training photos are named right."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sortograph.diagnosis import remedies, thumb, words
from sortograph.diagnosis.curves import Values, loss_error, loss_spread
from sortograph.diagnosis.view import RunView, Skip
from sortograph.records import Remedy, Verdict

NAMES = ("underfitting",)
LOW = 0.9  # training photos named right; surely fewer, and there is something left to learn
_FALLING = 0.02  # of the loss, from one third of the epochs to the next
_SLOW = 0.9  # of the loss of the first epoch that is left at the end of a run that is taught too slowly
_USUAL_RATES = {"sgd": 1e-2, "adam": 1e-3, "adamw": 1e-3}


def judge(view: RunView) -> Iterator[Verdict | Skip]:
    if view.taught is None:
        yield Skip("underfitting", "the training photos were not judged")
        return
    train = view.taught.metrics["accuracy"]
    if train.high >= LOW:
        return
    fall = falling(view)
    yield Verdict(
        name="underfitting",
        message=f"it names only {words.share(train, 'training photos')} right{_course(view, fall)}",
        severity=words.clipped(0.3 + (LOW - train.value), most=0.9),
        figures={"train": words.figures(train), "still_falling": round(fall, 4), "last_epochs": _tail(view)},
        remedies=_against(view, fall, 1 - train.value),
    )


def _course(view: RunView, fall: float) -> str:
    if view.why_no_history:
        return ""
    if _is_slow(view):
        first, last = view.history[0].train_loss, view.history[-1].train_loss
        return f", and the training loss has hardly moved, from {first:.3f} to {last:.3f}"
    if fall > 0:
        return f", and the training loss is still falling, by {100 * fall:.0f} % in the last third"
    return ", and the training loss does not fall any more"


def falling(view: RunView) -> float:
    """Share by which the training loss has fallen from the middle third of the epochs to the last.

    0 where that is within noise, or where there are no curves.
    """
    if view.why_no_history or len(view.history) < 3:
        return 0.0
    losses, third = view.values("train_loss"), max(1, len(view.history) // 3)
    before, after = float(losses[-2 * third : -third].mean()), float(losses[-third:].mean())
    # Epochs share their photos: the noise of one mean loss, and not of a difference, is left.
    error = loss_error(after, view.photos("train") * third, loss_spread(view.taught))
    share = (before - after) / before if before > 0 else 0.0
    is_sure = before - after > error and share > _FALLING
    return share if is_sure or _is_steady(losses) else 0.0


def _is_steady(losses: Values) -> bool:
    """Down in nearly every epoch, however little."""
    return len(losses) >= 5 and int((np.diff(losses) < 0).sum()) >= 0.9 * (len(losses) - 1)


def _tail(view: RunView) -> list[float]:
    return [round(row.train_loss, 4) for row in view.history[-3:]]


def _is_slow(view: RunView) -> bool:
    """Whether steps are so small that little has happened: a small rate, and a loss where it began."""
    rate = view.get(view.rate_key)
    if view.why_no_history or rate >= _USUAL_RATES[view.get("train.optimiser")]:
        return False
    return view.history[-1].train_loss > _SLOW * view.history[0].train_loss


def _against(view: RunView, fall: float, missed: float) -> tuple[Remedy, ...]:
    if view.kind == "head":
        return remedies.ranked(remedies.audit("wrong labels cannot be learned"), remedies.more_photos(view))
    found: list[Remedy | None] = []
    if _is_slow(view):
        found.append(remedies.faster(view, 10))
    if fall > 0:
        found.append(remedies.longer(view, 2, _more(view)))
    else:
        found += [remedies.larger(view, missed)]
        if view.get(view.rate_key) < _USUAL_RATES[view.get("train.optimiser")]:
            found.append(remedies.faster(view, 3))
    found += [remedies.less_dropout(view, missed), remedies.backbone(view)]
    first, *rest = (remedy for remedy in found if remedy is not None)
    others = remedies.ranked(*rest, remedies.larger(view, missed) if fall > 0 else None)
    # What the curves themselves ask for goes before what rules of thumb say of other runs.
    return (first, *others, remedies.audit("wrong labels cannot be learned"))


def _more(view: RunView) -> float:
    """Points that as many epochs again may add to the training accuracy, by the last third."""
    accuracies, third = view.values("train_accuracy"), max(1, len(view.history) // 3)
    return thumb.gain(thumb.LONGER, float(accuracies[-1] - accuracies[-1 - third]))
