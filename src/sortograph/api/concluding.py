"""The end of a sweep: its table, what was shown, and its page."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sortograph.api.sweep_folders import STATE
from sortograph.evaluation import groups_of, wilson
from sortograph.files import write_json
from sortograph.records import DatasetIndex
from sortograph.records.sweeps import Configuration, Standing, Swept
from sortograph.sweeps.answers import Answers, read_answers
from sortograph.sweeps.conclusions import claimed, compared, paragraph
from sortograph.sweeps.course import Course
from sortograph.sweeps.page import write_page
from sortograph.sweeps.standings import ranked, standing, write_table


def conclude(course: Course, index: DatasetIndex, folder: Path, again: str, seconds: float) -> Swept:
    """Writes trials.csv, conclusion.md and sweep.json. Raises RunError for damaged runs, StorageError.

    index: the photos of the sweep, which tells those that belong together
    """
    space, known = course.space, course.search.known
    standings = ranked(space, [_standing(course, one) for one in known])
    answers = _answers(course, known, _units(index))
    chosen = standings[0].configuration.name if standings and standings[0].score is not None else None
    against = space.reference if space.reference in answers else chosen
    others = [one.configuration.name for one in standings]
    comparisons = compared(against, others, answers) if against else ()
    claims = claimed(space, known, answers)
    left = tuple(course.left())
    swept = Swept(
        folder=folder,
        name=space.name,
        status="open" if left else "finished",
        metric=space.metric,
        standings=tuple(standings),
        chosen=chosen,
        against=against,
        comparisons=comparisons,
        claims=claims,
        left=left,
        conclusion=paragraph(space, standings, comparisons, claims, left),
        seconds=seconds,
    )
    write_table(folder, known, course.outcomes)
    write_page(swept, space, again)
    write_json(folder / STATE, swept.to_json())
    return swept


def _standing(course: Course, one: Configuration) -> Standing:
    settled = course.search.settled(one.name)
    return standing(course.space, one, course.runs(one.name), settled, wilson, course.halved)


def _answers(
    course: Course, known: list[Configuration], units: dict[str, int] | None
) -> dict[str, dict[str, Answers]]:
    """Name → split → answers, of the configurations that have runs."""
    folders = {one.name: [run.folder for run in course.runs(one.name).values()] for one in known}
    return {name: read_answers(places, units) for name, places in folders.items() if places}


def _units(index: DatasetIndex) -> dict[str, int] | None:
    """Path → number of the group, near duplicates too, that a photo belongs to."""
    numbers = groups_of(index, np.arange(len(index)))
    return None if numbers is None else dict(zip(index.paths, numbers.tolist(), strict=True))
