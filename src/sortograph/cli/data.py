"""`index`: what is in a folder of photos."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sortograph.cli import draw, options, results, streams, tables, words
from sortograph.errors import UsageError
from sortograph.records import Said

if TYPE_CHECKING:
    from sortograph.records import DatasetIndex

_NOT_DRAWN = "no sample photos are drawn: this folder is among the photos (--grid FILE.png draws elsewhere)"
SplitSeed = Annotated[
    int | None, typer.Option("--split-seed", min=0, max=2**32 - 1, metavar="N", help=words.SPLIT_SEED)
]
Validation = Annotated[
    float | None,
    typer.Option("--validation", min=0, max=1, metavar="SHARE", help=words.SHARE.format("validation")),
]
Test = Annotated[
    float | None, typer.Option("--test", min=0, max=1, metavar="SHARE", help=words.SHARE.format("test"))
]
Grid = Annotated[
    Path | None,
    typer.Option(
        "--grid", metavar="FILE.png", help="Where sample photos are drawn (default: PHOTOS-samples.png)."
    ),
]
NoGrid = Annotated[bool, typer.Option("--no-grid", help="Draw no sample photos.")]


def index(
    photos: options.Photos,
    recipe: options.Recipe = None,
    overrides: options.Set = None,
    classes: options.Classes = None,
    group_from: options.GroupFrom = None,
    follow_links: options.FollowLinks = False,
    split_seed: SplitSeed = None,
    validation: Validation = None,
    test: Test = None,
    grid: Grid = None,
    no_grid: NoGrid = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> int:
    """Look at a folder of photos. Tells classes, the splits that training makes, and what is left out."""
    from sortograph import api
    from sortograph.api.photos import split_settings

    place = _grid(photos, grid, no_grid)
    changes = [*(overrides or ()), *split_settings(seed=split_seed, validation=validation, test=test)]
    given: dict[str, Any] = {} if recipe is None else {"recipe": recipe}
    with draw.progress(quiet=quiet) as progress:
        found = api.index(
            photos,
            overrides=[*changes, *options.of_data(group_from, follow_links)],
            classes=options.listed(classes),
            grid=place,
            progress=progress,
            **given,
        )
        if place is None and not no_grid:
            progress(Said(_NOT_DRAWN))
    if json:
        streams.out_json(as_json(found, place))
    else:
        _show(found, place, verbose)
        given_again = options.again(recipe, changes, classes, group_from, follow_links)
        tables.facts([("next", tables.command(words.PROGRAM, "train", photos, *given_again))])
    return 0


def as_json(found: DatasetIndex, grid: Path | None) -> dict[str, Any]:
    return {
        "photos": len(found),
        "classes": list(found.classes),
        "splits": found.counts(),
        "leaks": {f"{first}/{second}": n for (first, second), n in found.overlaps().items()},
        "rejected": [{"path": file.path, "reason": file.reason} for file in found.rejected],
        "ignored": found.ignored,
        "notes": list(found.notes),
        "grid": None if grid is None else grid.as_posix(),
    }


def _grid(photos: Path, grid: Path | None, no_grid: bool) -> Path | None:
    """Where to draw; None for nowhere: asked for, or as the folder where one works is among the photos."""
    if no_grid:
        if grid is not None:
            raise UsageError("--grid and --no-grid together", fix="sortograph index --help")
        return None
    if grid is None:
        return beside(photos, "samples.png")
    if grid.suffix.lower() != ".png":
        raise UsageError("--grid writes PNG", where=str(grid), expected="FILE.png")
    return grid


def beside(photos: Path, ending: str) -> Path | None:
    """PHOTOS-<ending> in the current folder; None where that is among the photos, or there are none."""
    from sortograph.api.writing import lies_among

    if lies_among(photos, Path()) or not os.path.lexists(photos):
        return None
    whole = photos.resolve()
    return Path(f"{(whole.stem if whole.is_file() else whole.name) or 'photos'}-{ending}")


def _show(found: DatasetIndex, grid: Path | None, verbose: bool) -> None:
    tables.show(_counts(found))
    unlabelled = int((found.labels < 0).sum())
    if unlabelled:
        streams.out(f"without a label: {unlabelled}")
    results.show_left_out(found.rejected, found.ignored, verbose=verbose)
    for line in found.notes:
        streams.out(streams.safe(f"note: {line}"))
    if grid is not None:
        streams.out(streams.safe(f"sample photos: {grid}"))


def _counts(found: DatasetIndex) -> tables.Table:
    """A row per class, a column per split, with totals both ways."""
    counts = found.counts()
    numbers = [[counts[split][name] for split in counts] for name in found.classes]
    rows = [_row(name, row) for name, row in zip(found.classes, numbers, strict=True)]
    totals = [sum(counts[split].values()) for split in counts]
    return tables.Table(
        ("class", *counts, "total"), "l" + "r" * (len(counts) + 1), (*rows, _row("total", totals))
    )


def _row(name: str, numbers: list[int]) -> tuple[str, ...]:
    return (name, *map(str, numbers), str(sum(numbers)))
