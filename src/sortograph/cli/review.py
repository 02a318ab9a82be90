"""`review`: what people have corrected by hand since photos were sorted."""

from __future__ import annotations

from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sortograph.cli import options, streams, tables, words
from sortograph.errors import counted

if TYPE_CHECKING:
    from sortograph.records import Review

_SHOWN = 20
Destination = Annotated[Path, typer.Argument(metavar="DEST", help=words.REVIEW_DEST, show_default=False)]
Csv = Annotated[Path | None, typer.Option("--csv", metavar="FILE.csv", help=words.REVIEW_CSV)]


def review(
    destination: Destination,
    csv: Csv = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> int:
    """List photos that were moved to another class by hand since they were sorted: labels for training."""
    from sortograph import api

    found = api.review(destination, csv=csv)
    if json:
        streams.out_json(found.to_json())
        return 0
    _show(found, verbose=verbose)
    if csv is not None:
        following = [("next", tables.command(words.PROGRAM, "train", csv))] if found.corrections else []
        tables.facts([("table", str(csv)), *following])
    elif found.corrections and not quiet:
        place = _unused(destination)
        tables.facts([("next", tables.command(words.PROGRAM, "review", destination, "--csv", place))])
    return 0


def _unused(folder: Path) -> Path:
    """A name for a table; none is written over."""
    numbered = (folder / f"corrections-{number}.csv" for number in count(2))
    return next(place for place in chain([folder / "corrections.csv"], numbered) if not place.exists())


def _show(found: Review, *, verbose: bool) -> None:
    listed = found.corrections if verbose else found.corrections[:_SHOWN]
    if listed:
        rows = tuple((row.path, row.was or "unsure", row.label) for row in listed)
        tables.show(tables.Table(("photo", "was", "is"), "lll", rows))
    if len(listed) < len(found.corrections):
        streams.out(f"and {len(found.corrections) - len(listed)} more (--verbose lists all)")
    streams.out(f"corrected: {len(found.corrections)} of {counted(found.sorted_, 'sorted photo')}")
    if found.set_aside:
        streams.out(f"set aside as unsure: {len(found.set_aside)}")
    if found.gone:
        streams.out(f"nowhere in the folder any more: {found.gone}")
    for note in found.notes:
        streams.out(streams.safe(note))
