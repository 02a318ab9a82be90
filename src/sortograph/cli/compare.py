"""`compare`: runs on the same photos."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sortograph.cli import draw, options, results, streams, tables, words
from sortograph.errors import counted

if TYPE_CHECKING:
    from sortograph.records import Compared, Contender, Estimate, Pair

_SHOWN = 10
_PAGE = "compare.html"
Runs = Annotated[
    list[Path], typer.Argument(metavar="RUNS", help="Folders of finished runs.", show_default=False)
]
Choose = Annotated[bool, typer.Option("--choose", help="Also name the run to take, by validation alone.")]
PhotosFor = Annotated[
    Path | None,
    typer.Option("--photos", metavar="PHOTOS", help="Ask all models about these labelled photos instead."),
]
Page = Annotated[
    Path | None, typer.Option("--out", metavar="FILE.html", help="Write a page with all of it, and curves.")
]


def compare(
    runs: Runs,
    choose: Choose = False,
    photos: PhotosFor = None,
    out: Page = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> int:
    """Set runs against each other on the same test photos. Tells which differences are more than chance."""
    from sortograph import api

    with draw.progress(quiet=quiet) as progress:
        found = api.compare(runs, choose=choose, photos=photos, out=out, progress=progress)
    if json:
        streams.out_json(found.to_json())
        return 0
    _show(found, verbose)
    given: list[str | Path] = [] if photos is None else ["--photos", photos]
    pages = [] if found.page is None else [("page", str(found.page))]
    tables.facts([*pages, ("next", _next(found, runs, given))])
    return 0


def _show(found: Compared, verbose: bool) -> None:
    _show_runs(found)
    _show_pairs(found, verbose)
    if found.reason:
        streams.out()
        streams.out(streams.safe(found.reason))
    if verbose:
        _show_details(found)
    results.show_left_out(found.rejected, found.ignored, verbose=verbose)
    for note in found.notes:
        streams.out(streams.safe(f"note: {note}"))


def _next(found: Compared, runs: list[Path], given: list[str | Path]) -> str:
    if found.page is None:
        again = [*runs, *(["--choose"] if found.chosen else []), *given]
        return tables.command(words.PROGRAM, "compare", *again, "--out", _PAGE)
    if found.chosen is None:
        return tables.command(words.PROGRAM, "compare", *runs, "--choose")
    return tables.command(words.PROGRAM, "predict", Path(found.chosen), "PHOTOS")


def _show_runs(found: Compared) -> None:
    """Two lines a run, values above their intervals; as two tables where the terminal is too narrow."""
    splits = list(dict.fromkeys(split for run in found.runs for split in run.accuracy))
    columns = [
        ("run", "l", [(run.name, _mark(found, run)) for run in found.runs]),
        *(_share_column(found, split) for split in splits),
        ("train − val.", "r", [_gap(run) for run in found.runs]),
        ("recipe", "l", [(run.recipe, "") for run in found.runs]),
        ("seed", "r", [(str(run.seed), "") for run in found.runs]),
        ("MB", "r", [(f"{run.size / 1e6:.1f}", "") for run in found.runs]),
        ("best epoch", "r", [(_number(run.best_epoch), "") for run in found.runs]),
        ("seconds", "r", [(f"{run.seconds:.0f}", "") for run in found.runs]),
    ]
    half = len(splits) + 2
    whole = _table(columns)
    if not streams.draws(sys.stdout) or _width(whole) <= _columns():
        tables.show(whole)
        return
    tables.show(_table(columns[:half]))
    tables.show(_table([columns[0], *columns[half:]]))


_Column = tuple[str, str, list[tuple[str, str]]]


def _table(columns: list[_Column]) -> tables.Table:
    cells = [[line for pair in pairs for line in pair] for _, _, pairs in columns]
    rows = [row for row in zip(*cells, strict=True) if any(row)]
    return tables.Table(
        tuple(name for name, _, _ in columns), "".join(side for _, side, _ in columns), tuple(rows)
    )


def _width(table: tables.Table) -> int:
    return max(map(tables.width, tables.plain(table)))


def _columns() -> int:
    from shutil import get_terminal_size

    return get_terminal_size().columns


def _mark(found: Compared, run: Contender) -> str:
    if found.chosen is None:
        return ""
    return "  chosen" if run.run == found.chosen else "  tied" if run.run in found.tied else ""


def _share_column(found: Compared, split: str) -> _Column:
    """The count is in the heading where it is the same for all runs, else with each value."""
    shares = [run.accuracy.get(split) for run in found.runs]
    counts = {share.n for share in shares if share is not None}
    heading = f"{split}, n = {counts.pop()}" if len(counts) == 1 else split
    return heading, "r", [_share(share, with_count=heading == split) for share in shares]


def _share(estimate: Estimate | None, *, with_count: bool) -> tuple[str, str]:
    if estimate is None:
        return "–", ""
    value = tables.percent(estimate.value) + (f", n = {estimate.n}" if with_count else "")
    return value, f"{100 * estimate.low:.1f} – {100 * estimate.high:.1f}"


def _gap(run: Contender) -> tuple[str, str]:
    if run.gap is None:
        return "–", ""
    value, low, high = (
        f"{100 * end:+.1f}".replace("-", "−") for end in (run.gap.value, run.gap.low, run.gap.high)
    )
    return value, f"{low} to {high}"


def _number(value: int | None) -> str:
    return "–" if value is None else str(value)


def _show_pairs(found: Compared, verbose: bool) -> None:
    """A sentence a pair; of many only the clearest, unless `verbose`."""
    streams.out()
    pairs = list(found.pairs)
    if not verbose and len(pairs) > _SHOWN:
        pairs = sorted(pairs, key=lambda pair: (pair.p_corrected, pair.p))[:_SHOWN]
    for pair in pairs:
        streams.out(streams.safe(found.in_words(pair)))
    if more := len(found.pairs) - len(pairs):
        streams.out(f"and {counted(more, 'further pair')}, no clearer than these (--verbose lists all)")


def _show_details(found: Compared) -> None:
    names = tuple(run.name for run in found.runs)
    streams.out()
    tables.show(tables.Table(("pair", "only first", "only second", "p", "test"), "lrrrl", _tests(found)))
    rows = tuple((one.name, str(one.n), *map(str, one.right)) for one in found.classes)
    tables.show(tables.Table((f"{found.split}: class", "photos", *names), "lr" + "r" * len(names), rows))
    if found.settings:
        values = tuple((key, *row) for key, row in found.settings.items())
        tables.show(tables.Table(("setting", *names), "l" + "l" * len(names), values))


def _tests(found: Compared) -> tuple[tuple[str, ...], ...]:
    names = found.names

    def row(pair: Pair) -> tuple[str, ...]:
        couple = f"{names[pair.a]} − {names[pair.b]}"
        return couple, str(pair.only_a), str(pair.only_b), f"{pair.p:.3g}", pair.test

    return tuple(row(pair) for pair in found.pairs)
