"""compare: runs on the same photos, with paired tests, and a choice by validation."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sortograph.api.answers import Right, ask, joined, taught
from sortograph.api.choosing import voters, with_choice
from sortograph.api.entrants import ANEW, Entrant, places_of, read_entrants
from sortograph.api.placing import matched
from sortograph.api.telling import tell_rejected
from sortograph.api.writing import check_place, page_file
from sortograph.errors import DataError, counted, listed, nearest
from sortograph.evaluation import compare_pairs, difference, groups_of
from sortograph.evaluation.compare import group_numbers
from sortograph.evaluation.intervals import share_of
from sortograph.records import (
    ClassCounts,
    Compared,
    Contender,
    DatasetIndex,
    Progress,
    Rejected,
    RunRecord,
    silent,
)

if TYPE_CHECKING:
    from sortograph.reporting.overlay import Course

_GIVEN = "photos"
_FEW_GROUPS = 20
_TOLD = 10
Units = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Ground:
    """The N photos that K runs are compared on, and whether each run named each rightly, bool (K, N)."""

    split: str
    labels: tuple[str, ...]
    groups: tuple[str, ...] | None
    right: Right
    notes: tuple[str, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    ignored: int = 0


def compare(
    runs: Iterable[str | os.PathLike[str]],
    *,
    choose: bool = False,
    photos: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> Compared:
    """Set runs against each other on the same photos: their test photos, or those that are given.

    runs: two or more folders of finished runs with the same classes; their photos are known by content
    choose: also name the run to take, by validation alone: of those whose paired interval of the difference
        to the best validation accuracy includes 0, the one with the smallest gap between train and
        validation accuracy; then the smallest model. By the validation photos that calibrated none of the
        runs (split.reserve), or by all of them with a note where a run left none out
    photos: labelled photos that every model is asked about; those that any run was trained on are left out
    out: an HTML file for a page with all of it

    Raises UsageError for fewer than two runs or one given twice, RunError for runs that are unfinished or
    damaged, DataError where classes, photos or labels differ between runs, BundleError, StorageError, and
    MissingExtra for a page without matplotlib or Jinja2.
    """
    places, target = places_of(runs), None if out is None else page_file(Path(out))
    if photos is not None and target is not None:
        check_place(Path(photos), target)
    needed = ["test"] if photos is None else []
    needed += ["validation"] if choose else []
    entrants = read_entrants(places, needed)
    grounds = _aligned(entrants, needed)
    ground = grounds["test"] if photos is None else _asked(entrants, Path(photos), progress)
    compared = Compared(
        runs=tuple(_contender(entrant, ground, k) for k, entrant in enumerate(entrants)),
        split=ground.split,
        pairs=compare_pairs([one.run for one in entrants], ground.right, groups=ground.groups),
        classes=_class_counts(entrants[0].index.classes, ground),
        settings=_settings_apart([one.record for one in entrants]),
        notes=(
            *ground.notes,
            *_group_notes(ground),
            *_leak_notes(entrants, needed),
            *_taught_notes(entrants),
        ),
        page=target,
        rejected=ground.rejected,
        ignored=ground.ignored,
    )
    if choose:
        said = grounds["validation"]
        compared = with_choice(compared, voters(entrants, said.right, said.groups))
    if target is not None:
        _write_page(compared, entrants, target)
    return compared


def _aligned(entrants: Sequence[Entrant], splits: Sequence[str]) -> dict[str, _Ground]:
    """Their own photos of these splits. Raises DataError with all that differs between runs."""
    first, *others = entrants
    classes = [words for other in others if (words := _other_classes(first, other))]
    photos: dict[str, str] = {}
    answers = {split: [one.answers[split] for one in entrants] for split in splits}
    for split, (mine, *theirs) in answers.items():
        for other, said in zip(others, theirs, strict=True):
            if words := mine.apart(said):
                photos[f"{split} of {first.name} and {other.name}: {words}"] = split
    if classes or photos:
        _refuse(classes, photos)
    return {
        split: _Ground(
            split=split,
            labels=said[0].labels,
            groups=joined(one.groups for one in said),
            right=np.array([one.right for one in said]),
        )
        for split, said in answers.items()
    }


def _refuse(classes: Sequence[str], photos: Mapping[str, str]) -> None:
    """`photos`: what differs → the split that it differs in."""
    if classes:
        what, fix = "runs whose classes differ", "leave out the runs with other classes"
    elif "test" in photos.values():
        what, fix = "runs whose splits differ", ANEW
    else:
        what, fix = "nothing can be chosen where validation photos differ", "sortograph compare RUNS"
    problems = [*classes, *photos]
    raise DataError(
        f"{what}: {listed(problems, _TOLD, '; ')}",
        expected="the same classes, and the same photos with the same labels in each split that is compared",
        fix=fix,
    )


def _other_classes(first: Entrant, other: Entrant) -> str:
    here, there = first.index.classes, other.index.classes
    lacking = [repr(name) for name in here if name not in there]
    new = [f"{name!r}{nearest(name, here)}" for name in there if name not in here]
    words = [
        *([f"without {listed(lacking)}"] if lacking else []), *([f"with {listed(new)}"] if new else [])
    ]  # fmt: skip
    return f"classes of {other.name}, compared with {first.name}: {' and '.join(words)}" if words else ""


def _asked(entrants: Sequence[Entrant], photos: Path, progress: Progress) -> _Ground:
    """Every model on the photos that are given, without those that any of the runs was trained on."""
    follow = any(one.record.recipe.get("data", {}).get("follow_links") for one in entrants)
    index = matched(photos, entrants[0].index.classes, progress, follow_links=follow)
    tell_rejected(index, progress)
    known = np.array([taught(index, one.index) for one in entrants])
    fair = index[np.flatnonzero(~known.any(axis=0))]
    if len(fair) == 0:
        raise DataError(
            f"each of the {counted(len(index), 'photo')} is one that a run was trained on, or nearly",
            where=str(photos),
            expected="photos that none of the runs was trained on",
            fix="give other photos",
        )
    notes = [*index.notes]
    if left := len(index) - len(fair):
        notes.append(f"left out, since a run was trained on them or nearly: {counted(left, 'photo')}")
    chosen = np.array([taught(fair, one.index, "validation") for one in entrants]).any(axis=0)
    if count := int(chosen.sum()):
        notes.append(
            f"validation photos of a run, which may have helped to choose it: {counted(count, 'photo')}"
        )
    return _Ground(
        split=_GIVEN,
        labels=tuple(fair.classes[label] for label in fair.labels.tolist()),
        groups=joined(_ties(fair, [one.index for one in entrants])),
        right=ask(fair, [one.record.folder for one in entrants], progress),
        notes=tuple(notes),
        rejected=index.rejected,
        ignored=index.ignored,
    )


def _ties(photos: DatasetIndex, of_runs: Sequence[DatasetIndex]) -> Iterator[Units | None]:
    """Which photos belong together by what is known of them here, and by the near duplicates of each run."""
    rows = np.arange(len(photos), dtype=np.int64)
    yield groups_of(photos, rows)
    for index in of_runs:
        if index.twins:
            twins = dict(zip(index.sha256, index.twins, strict=True))
            known = replace(photos, twins=tuple(twins.get(content, "") for content in photos.sha256))
            yield groups_of(known, rows)


def _contender(entrant: Entrant, ground: _Ground, k: int) -> Contender:
    record, own = entrant.record, ("train", "validation", ground.split)
    accuracy = {s: record.evaluation[s].metrics["accuracy"] for s in own if s in record.evaluation}
    if ground.split == _GIVEN:
        units = None if ground.groups is None else group_numbers(ground.groups)
        accuracy[_GIVEN] = share_of(ground.right[k], units)
    is_whole = "train" in accuracy and "validation" in accuracy
    return Contender(
        run=entrant.run,
        name=entrant.name,
        recipe=str(record.recipe.get("name", "")),
        seed=record.seed,
        size=entrant.size,
        seconds=record.seconds,
        best_epoch=record.best_epoch,
        accuracy=accuracy,
        gap=difference(accuracy["train"], accuracy["validation"]) if is_whole else None,
    )


def _class_counts(classes: Sequence[str], ground: _Ground) -> tuple[ClassCounts, ...]:
    labels = np.array(ground.labels, dtype=object)
    return tuple(
        ClassCounts(name, int(mine.sum()), tuple(ground.right[:, mine].sum(axis=1).tolist()))
        for name in classes
        if (mine := labels == name).any()
    )


def _settings_apart(records: Sequence[RunRecord]) -> dict[str, tuple[str, ...]]:
    """Values of the recipes that are not the same in all of them, without their names."""
    from sortograph.reporting.facts import settings

    flat = [dict(settings(record.recipe)) for record in records]
    keys = dict.fromkeys(key for one in flat for key in one if key not in ("name", "about"))
    rows = {key: tuple(one.get(key, "–") for one in flat) for key in keys}
    return {key: values for key, values in rows.items() if len(set(values)) > 1}


def _group_notes(ground: _Ground) -> list[str]:
    if ground.groups is None:
        return []
    count = int(group_numbers(ground.groups).max()) + 1
    photos = f"{counted(len(ground.groups), 'photo')} in {counted(count, 'group')}"
    rough = "; so few make intervals and p rough" if count < _FEW_GROUPS else ""
    return [f"tested by whole groups, since photos of one group are alike: {photos}{rough}"]


def _leak_notes(entrants: Sequence[Entrant], splits: Sequence[str]) -> list[str]:
    """Of photos that judge, those that a run has learned from."""
    notes = []
    for split in splits:
        seen = {one.name: one.record.evaluation[split].leaks.get("train", 0) for one in entrants}
        told = [f"{count} of {name}" for name, count in seen.items() if count]
        if told:
            what = f"{split} photos that are also in train, or nearly"
            notes.append(f"{what}, which makes figures too good: {listed(told)}")
    return notes


def _taught_notes(entrants: Sequence[Entrant]) -> list[str]:
    def lesson(one: Entrant) -> list[tuple[str, str]]:
        names = one.index.classes
        rows = one.index.rows("train").tolist()
        return sorted((one.index.sha256[row], names[one.index.labels[row]]) for row in rows)

    first = lesson(entrants[0])
    others = [one.name for one in entrants[1:] if lesson(one) != first]
    if not others:
        return []
    return [f"trained on other photos, or other labels, than {entrants[0].name}: {listed(others)}"]


def _write_page(compared: Compared, entrants: Sequence[Entrant], target: Path) -> None:
    from sortograph.reporting.compare_page import ComparePage, write_compare_page

    write_compare_page(ComparePage(compared, tuple(_course(one) for one in entrants)), target)


def _course(entrant: Entrant) -> Course:
    from sortograph.reporting.overlay import Course

    record = entrant.record
    metrics = record.evaluation["validation"].metrics if "validation" in record.evaluation else {}
    return Course(
        name=entrant.name,
        history=record.history,
        best_epoch=record.best_epoch,
        accuracy=metrics.get("accuracy"),
        log_loss=metrics.get("log_loss"),
    )
