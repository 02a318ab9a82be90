"""The end of a sweep: its table, what was shown, and its page."""

from __future__ import annotations

from pathlib import Path

from sortograph.api.sweep_folders import STATE
from sortograph.evaluation import mcnemar_exact, paired_difference, wilson
from sortograph.files import write_json
from sortograph.records.sweeps import Configuration, Standing, Swept
from sortograph.sweeps.answers import Answers, read_answers
from sortograph.sweeps.conclusions import claimed, compared, paragraph
from sortograph.sweeps.course import Course
from sortograph.sweeps.page import write_page
from sortograph.sweeps.pairing import Paired
from sortograph.sweeps.standings import ranked, standing, write_table

_PAIRED = Paired(paired_difference, mcnemar_exact)


def conclude(course: Course, folder: Path, again: str, seconds: float) -> Swept:
    """Writes trials.csv, conclusion.md and sweep.json. Raises RunError for damaged runs, StorageError."""
    space, known = course.space, course.search.known
    standings = ranked(space, [_standing(course, one) for one in known])
    answers = _answers(course, known)
    chosen = standings[0].configuration.name if standings and standings[0].score is not None else None
    against = space.reference if space.reference in answers else chosen
    others = [one.configuration.name for one in standings]
    comparisons = compared(against, others, answers, _PAIRED) if against else ()
    claims = claimed(space, known, answers, _PAIRED)
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
    return standing(course.space, one, course.runs(one.name), course.search.settled(one.name), wilson)


def _answers(course: Course, known: list[Configuration]) -> dict[str, dict[str, Answers]]:
    """Name → split → answers, of the configurations that have runs."""
    folders = {one.name: [run.folder for run in course.runs(one.name).values()] for one in known}
    return {name: read_answers(places) for name, places in folders.items() if places}
