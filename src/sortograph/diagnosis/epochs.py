"""too-many-epochs: the best one is long past."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sortograph.diagnosis import remedies, words
from sortograph.diagnosis.curves import Values, accuracy_error, loss_error, loss_spread, smoothed, window
from sortograph.diagnosis.view import RunView, Skip
from sortograph.records import Remedy, Verdict

NAMES = ("too-many-epochs",)
_IDLE, _FEWEST = 0.4, 5  # share of the epochs, and their number, that may come after the best one
_WORSE = 0.01  # of the loss of chance: by how much the last epochs must be worse than the best
_SURE = 2.0  # standard errors


def judge(view: RunView) -> Iterator[Verdict | Skip]:
    """Where the validation loss has risen beyond noise, or two fifths of the epochs brought nothing."""
    if reason := view.why_no_history or _why_not(view):
        yield Skip("too-many-epochs", reason)
        return
    losses = smoothed(view.values("validation_loss"), window(len(view.history)))
    best, last = int(losses.argmin()), len(losses) - 1
    spread = loss_spread(view.record.evaluation.get("validation"))
    error = loss_error(float(np.hypot(losses[best], losses[last])), view.watched, spread)
    rose = losses[last] - losses[best] > _SURE * error and last - best >= _FEWEST
    worse = losses[last] - losses[best] > _WORSE * view.chance_loss
    idle = worse and last - best >= max(_FEWEST, _IDLE * len(losses)) and not _is_better(view, best)
    if rose or idle:
        yield _verdict(view, losses, best, rose)


def _why_not(view: RunView) -> str:
    if not view.is_validated:
        return "no validation photos were watched"
    if view.has_learned is False or view.ends_at_chance:
        return "the network has learned nothing: no epoch is better than another"
    return ""


def _is_better(view: RunView, best: int) -> bool:
    """Whether validation accuracy has still risen by more than noise since the lowest loss."""
    accuracies = smoothed(view.values("validation_accuracy"), window(len(view.history)))
    error = accuracy_error(float(accuracies[best]), view.watched)
    return bool(accuracies[-1] - accuracies[best] > _SURE * error)


def _verdict(view: RunView, losses: Values, best: int, rose: bool) -> Verdict:
    epochs, last = len(losses), len(losses) - 1
    accuracies = smoothed(view.values("validation_accuracy"), window(epochs))
    lost = float(accuracies[best] - accuracies[last])
    keeps_best = view.get("train.keep") == "best"
    train = view.values("train_loss")
    rest = "rose" if rose else "was no better"
    kept = (
        f"the weights of epoch {view.record.best_epoch} were kept, so that time is what they cost"
        if keeps_best
        else "and the weights of the last one were kept"
    )
    return Verdict(
        name="too-many-epochs",
        message=(
            f"the loss on {view.watched} validation photos was lowest about epoch {best + 1} of {epochs} "
            f"({losses[best]:.3f}, mean of {window(epochs)} epochs) and {rest} at the end "
            f"({losses[last]:.3f}), while the training loss went on from {train[best]:.3f} "
            f"to {train[last]:.3f}; {kept}"
        ),
        severity=words.clipped((0.2 if keeps_best else 0.3 + 2 * max(0.0, lost)) + 0.05 * rose, most=0.8),
        figures={
            "best_epoch": best + 1,
            "epochs": epochs,
            "lowest_loss": round(float(losses[best]), 4),
            "last_loss": round(float(losses[last]), 4),
            "n": view.watched,
            "accuracy_lost": round(lost, 4),
            "kept_epoch": view.record.best_epoch,
        },
        remedies=_against(view, best + 1, None if keeps_best else round(100 * max(0.0, lost), 1)),
    )


def _against(view: RunView, best: int, gain: float | None) -> tuple[Remedy, ...]:
    enough = min(len(view.history) - 1, max(best + 2, round(1.2 * best)))
    return remedies.ranked(
        remedies.stopping(view, max(5, best // 4), gain), remedies.fewer(view, enough, gain)
    )
