"""`sweep`: many runs → a table and a conclusion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sortograph.cli import draw, options, streams, tables, times, words
from sortograph.errors import UsageError, counted

if TYPE_CHECKING:
    from sortograph.records.sweeps import Swept

_SPACE = "What to try: a TOML file (docs/sweeps.md)."
_STUDY = "A study that comes with sortograph, such as weather-overfitting."
_QUICK = "The short grid of the study, of some ten minutes on two cores."
_TRIALS = "How many configurations to try."
_SEEDS = "Seeds of the runs of each configuration, such as 1,2,3."
_JOBS = "Runs at once, each in a process of its own."
_BUDGET = "No run begins that would end later, such as 20m or 2h; the same command goes on."
Space = Annotated[Path | None, typer.Option("--space", metavar="FILE", help=_SPACE)]
Study = Annotated[str | None, typer.Option("--study", metavar="NAME", help=_STUDY)]
Quick = Annotated[bool, typer.Option("--quick", help=_QUICK)]
Trials = Annotated[int | None, typer.Option("--trials", min=1, metavar="N", help=_TRIALS)]
Seeds = Annotated[str | None, typer.Option("--seeds", metavar="1,2,3", help=_SEEDS)]
Jobs = Annotated[int, typer.Option("--jobs", min=1, max=256, metavar="N", help=_JOBS)]
Budget = Annotated[str | None, typer.Option("--budget", metavar="TIME", help=_BUDGET)]


def sweep(
    photos: options.Photos,
    space: Space = None,
    study: Study = None,
    quick: Quick = False,
    out: options.Out = None,
    trials: Trials = None,
    budget: Budget = None,
    seeds: Seeds = None,
    jobs: Jobs = 1,
    overrides: options.Set = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> int:
    """Train many configurations with several seeds. Tells which is best, and how sure that is."""
    from sortograph import api

    with draw.progress(quiet=quiet) as progress:
        swept = api.sweep(
            photos,
            space=space,
            study=study,
            quick=quick,
            out=out,
            trials=trials,
            seeds=numbers(seeds),
            budget=times.seconds(budget),
            jobs=jobs,
            overrides=overrides or (),
            progress=progress,
        )
    if json:
        streams.out_json(swept.to_json())
    else:
        _show(swept, photos, verbose)
    return 0


def numbers(text: str | None) -> list[int] | None:
    """Raises UsageError.

    >>> numbers("1, 2,3"), numbers(None)
    ([1, 2, 3], None)
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 11 for part in parts):
        raise UsageError(f"--seeds {text}", expected="whole numbers with commas between", fix="--seeds 1,2,3")
    return [int(part) for part in parts]


def _show(swept: Swept, photos: Path, verbose: bool) -> None:
    from sortograph.sweeps.page import compared_cells, standing_cells, standing_header

    streams.out()
    rows = tuple(standing_cells(one) for one in swept.standings)
    header = standing_header(swept.standings)
    plain = [k for k in range(len(header)) if k != 1 or any(row[1] for row in rows)]
    shown = tuple(tuple(row[k] for k in plain) for row in rows)
    align = "".join("l" if k < 2 else "r" for k in plain)
    tables.show(tables.Table(tuple(header[k] for k in plain), align, shown))
    if verbose and swept.comparisons:
        compared = ("configuration", "against", "measure", "points", "95 % interval", "p", "verdict")
        lines = tuple(compared_cells(one) for one in swept.comparisons)
        tables.show(tables.Table(compared, "lllrrrl", lines))
    _claims(swept)
    streams.out()
    streams.out(streams.safe(swept.conclusion))
    streams.out()
    _places(swept, photos)


def _claims(swept: Swept) -> None:
    from sortograph.sweeps.conclusions import difference_text

    for claim in swept.claims:
        figures = f": {difference_text(claim.compared)}" if claim.compared else ""
        streams.out(streams.safe(f"{claim.verdict:<12}  {claim.text}{figures}"))


def _places(swept: Swept, photos: Path) -> None:
    places = [("conclusion", str(swept.report)), ("runs", str(swept.table)), ("sweep", str(swept.folder))]
    if swept.left:
        again = tables.command(words.PROGRAM, "sweep", photos, "--out", swept.folder)
        places += [("left", counted(len(swept.left), "run")), ("next", again)]
    elif swept.chosen is not None:
        run = swept.folder / "runs" / f"{swept.chosen}-seed{_first_seed(swept)}"
        places += [("next", tables.command(words.PROGRAM, "predict", run, "PHOTOS"))]
    tables.facts(places)


def _first_seed(swept: Swept) -> int:
    return swept.standings[0].seeds[0]
