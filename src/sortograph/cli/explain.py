"""`explain`: which parts of a photo an answer rests on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sortograph.cli import draw, options, streams, words
from sortograph.cli.tables import percent
from sortograph.errors import DataError, counted

if TYPE_CHECKING:
    from sortograph.api.explaining import Explained
    from sortograph.records import Explanation

_PARTLY = 6
_STAYS = 0.005  # of a probability
Photos = Annotated[
    list[str], typer.Argument(metavar="PHOTOS...", help=words.PREDICT_INPUTS, show_default=False)
]
Class = Annotated[str | None, typer.Option("--class", metavar="NAME", help=words.EXPLAIN_CLASS)]
Place = Annotated[Path, typer.Option("--out", metavar="FILE.png|DIR", help=words.EXPLAIN_OUT)]
Method = Annotated[str, typer.Option("--method", metavar="NAME", help=words.EXPLAIN_METHOD)]


def explain(
    model: options.Model,
    photos: Photos,
    class_name: Class = None,
    out: Place = Path("explained.png"),
    method: Method = "auto",
    json: options.Json = False,
    quiet: options.Quiet = False,
    _verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> int:
    """Show which parts of photos speak for the answer. Draws each photo beside a heatmap."""
    from sortograph import api

    counts: Counter[str] = Counter()
    with draw.progress(quiet=quiet) as progress:
        found = api.explain_photos(
            model, photos, class_name=class_name, out=out, method=method, progress=progress
        )
        for one in found:
            counts["photos"] += 1
            counts["failed"] += one.error is not None
            counts["undrawn"] += one.error is None and one.picture is None
            streams.out_json(one.to_json()) if json else streams.out(streams.safe(_told(one)))
    return _outcome(counts, out, quiet)


def _outcome(counts: Counter[str], out: Path, quiet: bool) -> int:
    """0, or 6 when some photos could not be read. Raises DataError when none could."""
    total, failed = counts["photos"], counts["failed"]
    if failed == total:
        what = "the photo could not be read" if total == 1 else f"none of {total} photos could be read"
        raise DataError(what)
    if not quiet:
        more = f"; {counts['undrawn']} more than fit on it (--out DIR draws all)" if counts["undrawn"] else ""
        streams.note(streams.safe(f"pictures: {out}{more}"))
    if failed:
        streams.note(f"warning: {failed} of {counted(total, 'photo')} could not be read")
    return _PARTLY if failed else 0


def _told(one: Explained) -> str:
    found = one.explanation
    return f"{one.path}  error: {one.error}" if found is None else f"{one.path}  {_answer(found)}"


def _answer(found: Explanation) -> str:
    said = f"{found.class_name} {percent(found.probability)}"
    if found.predicted != found.class_name:
        said += f" (predicted: {found.predicted})"
    if found.strongest is None:
        return f"{said}, no part speaks for it ({found.method})"
    where = f"{said}, strongest {_place(*found.strongest)}"
    if found.covered is None:
        return f"{where} ({found.method})"
    if found.probability - found.covered < _STAYS:
        return f"{where}; the same with any one part covered"
    return f"{where}; down to {percent(found.covered)} with one part covered"


def _place(across: float, down: float) -> str:
    """
    >>> _place(0.1, 0.1), _place(0.5, 0.5), _place(0.9, 0.4)
    ('top left', 'in the middle', 'on the right')
    """
    row, column = ("top", "", "bottom")[int(3 * down)], ("left", "", "right")[int(3 * across)]
    if row and column:
        return f"{row} {column}"
    if row:
        return f"at the {row}"
    return f"on the {column}" if column else "in the middle"
