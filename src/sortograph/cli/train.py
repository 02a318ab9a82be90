"""`train` and `demo`: photos → a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sortograph.cli import draw, options, results, streams, tables, times, words
from sortograph.cli.failures import INTERRUPTED
from sortograph.errors import UsageError, counted

if TYPE_CHECKING:
    from sortograph.records import RunRecord

_AGAIN = (words.PROGRAM, "train")
Resume = Annotated[
    Path | None, typer.Option("--resume", metavar="RUN", help="Go on with a run that was interrupted.")
]


def train(
    photos: options.Photos,
    recipe: options.Recipe = None,
    overrides: options.Set = None,
    seed: options.Seed = None,
    out: options.Out = None,
    classes: options.Classes = None,
    group_from: options.GroupFrom = None,
    follow_links: options.FollowLinks = False,
    budget: options.Budget = None,
    no_pretrained: options.NoPretrained = False,
    resume: Resume = None,
    log: options.Log = None,
    corrections: options.CorrectionsOf = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> int:
    """Train a classifier on labelled photos. Evaluates it, and writes model and report."""
    from sortograph import api

    if resume is not None and recipe is not None:
        raise UsageError(
            "a run is resumed with the recipe that it has",
            fix=tables.command(*_AGAIN, photos, "--resume", resume),
        )
    given: dict[str, Any] = {} if recipe is None else {"recipe": recipe}
    with draw.progress(quiet=quiet) as progress:
        record = api.train(
            photos,
            overrides=[*(overrides or ()), *options.of_data(group_from, follow_links)],
            seed=seed,
            out=out,
            classes=options.listed(classes),
            budget=times.seconds(budget),
            pretrained=not no_pretrained,
            resume=resume,
            log=log,
            corrections=corrections,
            progress=progress,
            **given,
        )
    source = () if corrections is None else ("--corrections", corrections)
    return _told(record, (photos, *source), json, verbose)


def demo(
    out: options.Out = None,
    seed: options.Seed = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> int:
    """Try everything on handwritten digits. Takes photos from nowhere and needs no network."""
    from sortograph import api

    with draw.progress(quiet=quiet) as progress:
        record = api.demo(out=out, seed=seed, progress=progress)
    photos = record.folder.parent / "photos"
    return _told(record, (photos,), json, verbose, next_photos=photos)


def _told(
    record: RunRecord,
    source: Sequence[str | Path],
    json: bool,
    verbose: bool,
    next_photos: str | Path = "PHOTOS",
) -> int:
    """Shows the run; 130 for one that was interrupted, with the command that resumes it."""
    if json:
        streams.out_json(record.to_json())
    else:
        results.show_evaluation(record.evaluation, verbose=verbose, trust=record.trust)
        places = [("report", record.report), ("model", record.bundle), ("run", record.folder)]
        results.show_places(
            [(name, place if place.exists() else None) for name, place in places],
            record.folder,
            next_photos,
        )
    if record.status != "interrupted":
        return 0
    after = f" after {counted(len(record.history), 'epoch')}" if record.history else ""
    streams.note(
        f"interrupted{after}; what was learned so far can be used. "
        "The test photos judge it once, when it has finished"
    )
    streams.note(streams.safe(f"  next: {tables.command(*_AGAIN, *source, *record.going_on())}"))
    return INTERRUPTED
