"""Which of the runs that are compared to take, and why, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sortograph.api.answers import Right, uncalibrated
from sortograph.api.entrants import Entrant
from sortograph.errors import counted, listed
from sortograph.evaluation import choose_run
from sortograph.records import Choice, Compared, Contender


@dataclass(frozen=True, slots=True)
class Voters:
    """The N validation photos that choose: whether each of the K runs named each rightly, bool (K, N).

    groups  N names of groups of these photos, None where each stands alone
    every   how many validation photos there are
    note    why photos choose that calibrated a run too; "" where none of them did
    """

    right: Right
    groups: tuple[str, ...] | None
    every: int
    note: str = ""


def voters(entrants: Sequence[Entrant], right: Right, groups: tuple[str, ...] | None) -> Voters:
    """The validation photos that calibrated none of the runs; all of them where a run left none out.

    right: bool (K, N), answers to all validation photos; groups: as `Voters` has them
    """
    known = [uncalibrated(one.record, one.index, one.answers["validation"].paths) for one in entrants]
    spent = [one.name for one, free in zip(entrants, known, strict=True) if free is None]
    free = np.all([some for some in known if some is not None], axis=0)
    if spent or not free.any():
        return Voters(right, groups, right.shape[1], _spent_note(spent, right.shape[1]))
    some = (
        None if groups is None else tuple(name for name, is_free in zip(groups, free, strict=True) if is_free)
    )
    return Voters(right[:, free], some, right.shape[1])


def _spent_note(spent: Sequence[str], photos: int) -> str:
    who = listed(spent) if spent else "one run or another"
    return (
        f"all {photos} validation photos choose, those too by which {who} calibrated, so what the chosen run "
        "promises of its thresholds and label sets is a little optimistic; "
        "train with --set split.reserve=true to keep half of them for choosing"
    )


def with_choice(compared: Compared, by: Voters) -> Compared:
    """The same with `tied`, `chosen` and `reason`, by validation alone (`evaluation.choose_run`).

    Every run needs an accuracy on train. Raises ValueError for other shapes.
    """
    runs = compared.runs
    train = [run.accuracy["train"].value for run in runs]
    choice = choose_run(by.right, train, [run.size for run in runs], groups=by.groups)
    gap = _gap_text(train[choice.chosen] - float(by.right[choice.chosen].mean()), by)
    return replace(
        compared,
        tied=tuple(runs[k].run for k in choice.tied),
        chosen=runs[choice.chosen].run,
        reason=_reason(runs, choice, by, gap),
        notes=(*compared.notes, *([by.note] if by.note else []), *_contradiction(compared, choice, by)),
    )


def _contradiction(compared: Compared, choice: Choice, by: Voters) -> list[str]:
    """Where too few photos chose: those that judge tell the chosen run from a better one it is tied with."""
    chosen = compared.runs[choice.chosen]
    names = {compared.runs[k].run: compared.runs[k].name for k in choice.tied if k != choice.chosen}
    better = []
    for pair in compared.pairs:
        sign = 1 if pair.b == chosen.run else -1
        other = pair.a if sign == 1 else pair.b
        ahead = 100 * sign * pair.difference.value
        if chosen.run in (pair.a, pair.b) and other in names and pair.shown and ahead > 0:
            better.append(f"{names[other]} (by {ahead:.1f} points)")
    if not better:
        return []
    judges = "the test photos" if compared.split == "test" else "the given photos"
    told = f"{counted(by.right.shape[1], 'validation photo')} could not tell {chosen.name} from runs that are"
    return [
        f"{told} better on {judges}: {listed(better)}; "
        "more of them (--set split.validation=0.3 where the folder has no splits of its own) see more"
    ]


def _gap_text(gap: float, by: Voters) -> str:
    points, n = f"{100 * gap:+.1f} points".replace("-", "−"), by.right.shape[1]
    if n == by.every:
        return f"gap between train and validation accuracy, {points}"
    return f"gap between the accuracy on train and that on these {counted(n, 'photo')}, {points}"


def _reason(runs: Sequence[Contender], choice: Choice, by: Voters, gap: str) -> str:
    best, chosen = runs[choice.best], runs[choice.chosen]
    judges, rest = counted(by.right.shape[1], "validation photo"), "Test photos had no part in it."
    if by.right.shape[1] < by.every:
        others = by.every - by.right.shape[1]
        rest = f"The other {others}, which calibrate, and the test photos had no part in it."
    if choice.by == "alone":
        why = f"it named the most of the {judges} right, and no other run is tied with it"
        apart = "each paired interval of the difference leaves out 0"
        return f"{chosen.name} is chosen: {why}, since {apart}. {rest}"
    tied = ", ".join(runs[k].name for k in choice.tied)
    why = f"0 lies within the paired interval of the difference to {best.name}, which none surpasses"
    because = _because(chosen, choice.by, gap)
    return f"Tied on {judges}: {tied} ({why}). {chosen.name} is chosen: {because}. {rest}"


def _because(chosen: Contender, by: str, gap: str) -> str:
    """gap: what it is between, and its size."""
    if by == "gap":
        return f"it has the smallest {gap}"
    if by == "size":
        return f"of those with the smallest {gap}, it is the smallest model, {chosen.size:,} bytes"
    if by == "accuracy":
        return "gap and size of the model are equal elsewhere, and it named the most validation photos right"
    return "gap, size of the model and validation accuracy are equal elsewhere, and it was given first"
