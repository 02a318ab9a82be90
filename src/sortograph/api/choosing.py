"""Which of the runs that are compared to take, and why, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sortograph.errors import counted
from sortograph.evaluation import choose_run
from sortograph.records import Choice, Compared, Contender


def with_choice(
    compared: Compared, right: NDArray[np.bool_], groups: Sequence[str] | None = None
) -> Compared:
    """The same with `tied`, `chosen` and `reason`, by validation alone (`evaluation.choose_run`).

    right: bool (K, N), whether each of the K runs named each validation photo rightly
    groups: N names of groups of these photos, None where each stands alone

    Every run needs an accuracy on train. Raises ValueError for other shapes.
    """
    runs = compared.runs
    train = [run.accuracy["train"].value for run in runs]
    choice = choose_run(right, train, [run.size for run in runs], groups=groups)
    return replace(
        compared,
        tied=tuple(runs[k].run for k in choice.tied),
        chosen=runs[choice.chosen].run,
        reason=_reason(runs, choice, right.shape[1]),
    )


def _reason(runs: Sequence[Contender], choice: Choice, photos: int) -> str:
    best, chosen = runs[choice.best], runs[choice.chosen]
    judges, rest = counted(photos, "validation photo"), "Test photos had no part in it."
    if choice.by == "alone":
        why = f"it named the most of the {judges} right, and no other run is tied with it"
        apart = "each paired interval of the difference leaves out 0"
        return f"{chosen.name} is chosen: {why}, since {apart}. {rest}"
    tied = ", ".join(runs[k].name for k in choice.tied)
    why = f"0 lies within the paired interval of the difference to {best.name}, which none surpasses"
    return f"Tied on {judges}: {tied} ({why}). {chosen.name} is chosen: {_because(chosen, choice.by)}. {rest}"


def _because(chosen: Contender, by: str) -> str:
    assert chosen.gap is not None, "a run that was judged on train and validation has a gap"
    points = f"{100 * chosen.gap.value:+.1f}".replace("-", "−")
    if by == "gap":
        return f"it has the smallest gap between train and validation accuracy, {points} points"
    if by == "size":
        least = f"the smallest model, {chosen.size:,} bytes"
        return f"of those with the smallest gap between train and validation, {points} points, it is {least}"
    if by == "accuracy":
        return "gap and size of the model are equal elsewhere, and it named the most validation photos right"
    return "gap, size of the model and validation accuracy are equal elsewhere, and it was given first"
