"""`index`: what is in a folder of photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sortograph.cli import draw, options, streams, tables, words
from sortograph.errors import UsageError

if TYPE_CHECKING:
    from sortograph.records import DatasetIndex

_SHOWN = 10
Share = Annotated[float | None, typer.Option(min=0, max=1, metavar="SHARE", help=words.SHARE)]
Grid = Annotated[
    Path | None,
    typer.Option(
        "--grid", metavar="FILE.png", help="Where sample photos are drawn (default: PHOTOS-samples.png)."
    ),
]
NoGrid = Annotated[bool, typer.Option("--no-grid", help="Draw no sample photos.")]


def index(
    photos: options.Photos,
    classes: options.Classes = None,
    seed: options.Seed = None,
    validation: Share = None,
    test: Share = None,
    grid: Grid = None,
    no_grid: NoGrid = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> int:
    """Look at a folder of photos. Tells classes, splits, and what was left out and why."""
    from sortograph import api

    place = _grid(photos, grid, no_grid)
    with draw.progress(quiet=quiet) as progress:
        found = api.index(
            photos,
            classes=options.listed(classes),
            seed=seed,
            validation=validation,
            test=test,
            grid=place,
            progress=progress,
        )
    if json:
        streams.out_json(as_json(found, place))
    else:
        _show(found, place, verbose)
        tables.facts([("next", tables.command(words.PROGRAM, "train", photos))])
    return 0


def as_json(found: DatasetIndex, grid: Path | None) -> dict[str, Any]:
    return {
        "photos": len(found),
        "classes": list(found.classes),
        "splits": found.counts(),
        "rejected": [{"path": file.path, "reason": file.reason} for file in found.rejected],
        "ignored": found.ignored,
        "notes": list(found.notes),
        "grid": None if grid is None else grid.as_posix(),
    }


def _grid(photos: Path, grid: Path | None, no_grid: bool) -> Path | None:
    if no_grid:
        if grid is not None:
            raise UsageError("--grid and --no-grid together", fix="sortograph index --help")
        return None
    if grid is None:
        whole = photos.resolve()
        return Path(f"{(whole.stem if whole.is_file() else whole.name) or 'photos'}-samples.png")
    if grid.suffix.lower() != ".png":
        raise UsageError("--grid writes PNG", where=str(grid), expected="FILE.png")
    return grid


def _show(found: DatasetIndex, grid: Path | None, verbose: bool) -> None:
    tables.show(_counts(found))
    unlabelled = int((found.labels < 0).sum())
    if unlabelled:
        streams.out(f"without a label: {unlabelled}")
    if found.rejected:
        streams.out(f"cannot be used: {len(found.rejected)}")
        listed = found.rejected if verbose else found.rejected[:_SHOWN]
        for file in listed:
            streams.out(streams.safe(f"  {file.path}: {file.reason}"))
        if len(listed) < len(found.rejected):
            streams.out(f"  and {len(found.rejected) - len(listed)} more (--verbose lists all)")
    if found.ignored:
        streams.out(f"no photos, left aside: {found.ignored}")
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
