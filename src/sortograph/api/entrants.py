"""The runs that `compare` was given: read, and refused all at once where they cannot be compared."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sortograph import runs as folders
from sortograph.api.answers import SplitAnswers, split_answers
from sortograph.api.placing import run_index
from sortograph.bundle.reading import FILE_NAME
from sortograph.errors import RunError, SortographError, UsageError, command, counted, listed
from sortograph.records import DatasetIndex, RunRecord

ANEW = "sortograph compare RUNS --photos PHOTOS"


@dataclass(frozen=True, slots=True)
class Entrant:
    """A run that may be compared.

    run, name  as it was given, and the name to call it by
    answers    split → what it said of the photos of that split
    size       bytes of its model.onnx
    """

    run: str
    name: str
    record: RunRecord
    index: DatasetIndex
    answers: Mapping[str, SplitAnswers]
    size: int


def places_of(runs: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Raises UsageError for fewer than two runs, or one given twice."""
    if isinstance(runs, str | os.PathLike):
        runs = [runs]
    places = [Path(run) for run in runs]
    real = [os.path.realpath(place) for place in places]
    twice = [str(place) for k, place in enumerate(places) if real[k] in real[:k]]
    if twice:
        raise UsageError(f"given twice: {listed(twice)}", expected="different runs", fix="name each run once")
    if len(places) < 2:
        raise UsageError(
            f"{counted(len(places), 'run')} to compare",
            expected="two or more",
            fix="sortograph compare RUN RUN",
        )
    return places


def read_entrants(places: Sequence[Path], needed: Sequence[str]) -> list[Entrant]:
    """The runs with what is known of them; `needed` are splits that each must have answers to.

    Raises RunError with what is wrong with all of them at once.
    """
    names = [os.path.basename(os.path.realpath(place)) for place in places]  # noqa: PTH119, of "." too
    found: list[Entrant] = []
    wrong: list[SortographError] = []
    for place, name in zip(places, names, strict=True):
        try:
            found.append(_entrant(place, name if names.count(name) == 1 else place.as_posix(), needed))
        except RunError as error:
            wrong.append(error)
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        told = "; ".join(f"{error.where}: {error.what}" for error in wrong)
        raise RunError(
            f"{len(wrong)} of {len(places)} runs cannot be compared: {told}",
            expected="folders of finished runs",
            fix=wrong[0].fix,
        )
    return found


def _entrant(place: Path, name: str, needed: Sequence[str]) -> Entrant:
    record, where = folders.read_run(place), str(place)
    if record.status != "finished":
        fix = f"{command('sortograph', 'train', 'PHOTOS', *record.going_on())}, or leave this run out"
        raise RunError(
            f"not finished ({record.status})", where=str(place), expected="a finished run", fix=fix
        )
    missing = [split for split in ("train", *needed) if split not in record.evaluation]
    if missing:
        fix = "sortograph compare RUNS" if missing == ["validation"] else ANEW
        what = f"has no answers to {' and '.join(missing)} photos"
        raise RunError(what, where=where, expected="a run that was judged on them", fix=fix)
    if not record.bundle.is_file():
        raise RunError(f"has no {FILE_NAME}", where=where, fix="copy the run folder again, or leave it out")
    index = run_index(record)
    answers = {split: split_answers(record, index, split) for split in needed}
    return Entrant(place.as_posix(), name, record, index, answers, record.bundle.stat().st_size)
