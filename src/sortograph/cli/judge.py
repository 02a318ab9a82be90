"""`evaluate` and `report`: what a model is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sortograph.cli import draw, options, results, streams

MorePhotos = Annotated[
    Path | None,
    typer.Argument(metavar="PHOTOS", help="Labelled photos, else those of the run.", show_default=False),
]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]
PhotosOf = Annotated[
    Path | None, typer.Option("--photos", metavar="PHOTOS", help="Where the photos of the run are now.")
]
NoPhotos = Annotated[
    bool, typer.Option("--no-photos", help="Leave all photos out of the page, so that it can be passed on.")
]


def evaluate(
    model: options.Model,
    photos: MorePhotos = None,
    out: options.Out = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> int:
    """Measure a model again. On the photos of its run, or on others."""
    from sortograph import api

    with draw.progress(quiet=quiet) as progress:
        found = api.evaluate(model, photos, out=out, progress=progress)
    if json:
        streams.out_json(found.to_json())
        return 0
    results.show_evaluation(found.evaluation, verbose=verbose, trust=found.trust)
    results.show_left_out(found.rejected, found.ignored, verbose=verbose)
    for line in found.notes:
        streams.out(streams.safe(f"note: {line}"))
    places = [("report", found.report), ("model", found.bundle), ("run", found.run)]
    results.show_places(places, found.run or found.bundle)
    return 0


def report(
    run: Run,
    photos: PhotosOf = None,
    no_photos: NoPhotos = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    _verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> int:
    """Write the report of a run again, and its model card."""
    from sortograph import api

    with draw.progress(quiet=quiet) as progress:
        place = api.report(run, photos=photos, with_photos=not no_photos, progress=progress)
    if json:
        streams.out_json({"run": run.as_posix(), "report": place.as_posix()})
    else:
        streams.out(streams.safe(str(place)))
    return 0
