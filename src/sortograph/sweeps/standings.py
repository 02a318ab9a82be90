"""From runs to one line for each configuration, and the table of all runs."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sortograph.errors import RunError
from sortograph.files import write_csv
from sortograph.records import SPLITS, Estimate, RunRecord
from sortograph.records.sweeps import Configuration, RunOutcome, Standing
from sortograph.sweeps.space import Space

TABLE = "trials.csv"
Share = Callable[[int, int], Estimate]
_HEADER = ("trial", "variant", "settings", "seed", "status", "seconds")
_FIGURES = ("accuracy", "n", "low", "high")
_CHOOSING = "choosing"


def score(record: RunRecord, metric: str, *, halved: bool = False) -> float:
    """The metric that chooses, of one run. Raises RunError for a run that was not judged.

    halved: by the validation photos alone that are kept out of calibration, else by all of them
    """
    return choosing(record, halved=halved)[metric.removeprefix("validation_")].value


def choosing(record: RunRecord, *, halved: bool) -> Mapping[str, Estimate]:
    """What the photos that choose say of a run. Raises RunError where there are none."""
    if not record.evaluation:
        raise RunError(
            "a run judged nothing, since its backbone has random weights: nothing may be concluded from it",
            where=str(record.folder),
            expected="weights that were taught on photos",
            fix="sortograph weights list, and sortograph weights add NAME FILE",
        )
    if "validation" not in record.evaluation:
        raise RunError(
            "no validation photos: nothing may choose between configurations",
            where=str(record.folder),
            fix="sortograph sweep PHOTOS --space FILE --set split.validation=0.15",
        )
    found = record.evaluation["validation"]
    if halved and not found.choosing:
        raise RunError(
            "a run without figures of the validation photos that choose",
            where=str(record.folder),
            expected="a run with split.reserve = true",
            fix="remove this run folder, then type the command again: it is trained anew",
        )
    return found.choosing if halved else found.metrics


def standing(
    space: Space,
    one: Configuration,
    runs: Mapping[int, RunRecord],
    settled: tuple[str, str] | None,
    share: Share,
    halved: bool = False,
) -> Standing:
    """A configuration over its finished runs, seed → record.

    share: (right, photos) → an interval; halved: as `score` has it
    """
    status, reason = settled or ("open", "")
    if not runs:
        return Standing(one, status, reason=reason)
    scores = [score(run, space.metric, halved=halved) for run in runs.values()]
    means = {split: _of_split(runs, split, share) for split in SPLITS}
    chose = [choosing(run, halved=True)["accuracy"] for run in runs.values()] if halved else []
    train, validation = means["train"], means["validation"]
    return Standing(
        configuration=one,
        status=status,
        seeds=tuple(runs),
        score=statistics.fmean(scores),
        spread=statistics.stdev(scores) if len(scores) > 1 else None,
        train=train,
        validation=validation,
        test=means["test"],
        gap=train.value - validation.value if train and validation else None,
        seconds=statistics.fmean(run.seconds for run in runs.values()),
        reason=reason,
        choosing=_mean(chose, share) if chose else None,
    )


def _of_split(runs: Mapping[int, RunRecord], split: str, share: Share) -> Estimate | None:
    found = [run.evaluation[split].metrics["accuracy"] for run in runs.values() if split in run.evaluation]
    return None if len(found) < len(runs) else _mean(found, share)


def _mean(found: Sequence[Estimate], share: Share) -> Estimate:
    """Mean accuracy over seeds, with the interval that so many photos give one figure of that size."""
    value, n = statistics.fmean(one.value for one in found), found[0].n
    around = share(round(value * n), n)
    return Estimate(value, min(value, around.low), max(value, around.high), around.level, n, around.method)


def ranked(space: Space, standings: Sequence[Standing]) -> list[Standing]:
    """Best mean score first, those without all seeds after them; test photos have no part in it."""
    sign = 1 if space.is_loss else -1

    def place(one: Standing) -> tuple[bool, bool, float]:
        return one.score is None, one.status != "finished", sign * (one.score or 0.0)

    return sorted(standings, key=place)


def write_table(
    folder: Path, configurations: Sequence[Configuration], outcomes: Mapping[tuple[str, int], RunOutcome]
) -> None:
    """trials.csv: a line for each run that was begun. Raises StorageError."""
    figures = [f"{split}_{name}" for split in (*SPLITS, _CHOOSING) for name in _FIGURES]
    lines = [
        _line(folder, one, outcomes[key])
        for one in configurations
        for key in sorted(outcomes)
        if key[0] == one.name
    ]
    write_csv(folder / TABLE, [*_HEADER, *figures, "run", "reason"], lines)


def _line(folder: Path, one: Configuration, outcome: RunOutcome) -> list[object]:
    told = dict(one.told) | ({} if one.per_class is None else {"subset.per_class": one.per_class})
    cells: list[object] = [one.name, one.variant, json.dumps(told, ensure_ascii=False), outcome.task.seed]
    cells += [outcome.status, round(outcome.seconds, 1)]
    known = outcome.record.evaluation if outcome.record else {}
    measured = {split: result.metrics for split, result in known.items()}
    measured[_CHOOSING] = known["validation"].choosing if "validation" in known else {}
    for split in (*SPLITS, _CHOOSING):
        found = measured.get(split, {}).get("accuracy")
        cells += [found.value, found.n, found.low, found.high] if found else [""] * len(_FIGURES)
    return [*cells, outcome.task.folder.relative_to(folder).as_posix(), outcome.reason]
