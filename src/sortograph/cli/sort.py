"""`sort` and `undo`: photos into folders by what a model says, and back."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sortograph.cli import draw, options, streams, tables, words
from sortograph.cli.text import wrong_share
from sortograph.errors import Interrupted, UsageError, counted

if TYPE_CHECKING:
    from sortograph.records import Rejected, Renamed, Sorted, SortPlan

PARTLY = 6
_SHOWN = 10
_TEMPLATE = "{label}/{name}"
_USAGE = f"{words.PROGRAM} sort MODEL SRC --into DEST"
_DONE = {"copy": "copied", "move": "moved", "hardlink": "linked", "symlink": "linked"}

Model = Annotated[Path | None, typer.Argument(metavar="MODEL", help=words.MODEL, show_default=False)]
Source = Annotated[Path | None, typer.Argument(metavar="SRC", help=words.SORT_SOURCE, show_default=False)]
Into = Annotated[Path | None, typer.Option("--into", metavar="DEST", help=words.SORT_INTO)]
Apply = Annotated[bool, typer.Option("--apply", help=words.SORT_APPLY)]
Yes = Annotated[bool, typer.Option("--yes", help=words.SORT_YES)]
Copy = Annotated[bool, typer.Option("--copy", help=words.SORT_COPY)]
Move = Annotated[bool, typer.Option("--move", help=words.SORT_MOVE)]
Hardlink = Annotated[bool, typer.Option("--hardlink", help=words.SORT_HARDLINK)]
Symlink = Annotated[bool, typer.Option("--symlink", help=words.SORT_SYMLINK)]
MaxError = Annotated[str | None, typer.Option("--max-error", metavar="SHARE", help=words.SORT_MAX_ERROR)]
Pattern = Annotated[str, typer.Option("--template", metavar="PATTERN", help=words.SORT_TEMPLATE)]
Watch = Annotated[bool, typer.Option("--watch", help=words.SORT_WATCH)]
Resume = Annotated[Path | None, typer.Option("--resume", metavar="JOURNAL", help=words.SORT_RESUME)]
Journal = Annotated[Path, typer.Argument(metavar="JOURNAL", help=words.UNDO_JOURNAL, show_default=False)]


@dataclass(frozen=True, slots=True)
class _Wish:
    """What was typed."""

    model: Path
    source: Path
    into: Path
    way: str
    max_error: str | None
    template: str

    @property
    def share(self) -> float | None:
        """Raises UsageError."""
        return None if self.max_error is None else wrong_share(self.max_error, f"{words.PROGRAM} sort")

    def typed(self, *more: str) -> str:
        """The command, as it is typed once more."""
        way = () if self.way == "copy" else (f"--{self.way}",)
        least = () if self.max_error is None else ("--max-error", self.max_error)
        template = () if self.template == _TEMPLATE else ("--template", self.template)
        ends = (self.model, self.source, "--into", self.into)
        return tables.command(words.PROGRAM, "sort", *ends, *way, *least, *template, *more)


def sort(
    model: Model = None,
    source: Source = None,
    into: Into = None,
    apply: Apply = False,
    yes: Yes = False,
    copy: Copy = False,
    move: Move = False,
    hardlink: Hardlink = False,
    symlink: Symlink = False,
    max_error: MaxError = None,
    template: Pattern = _TEMPLATE,
    watch: Watch = False,
    resume: Resume = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> int:
    """Sort photos into folders by class. Tells the plan first; --apply carries it out."""
    way = _way({"copy": copy, "move": move, "hardlink": hardlink, "symlink": symlink})
    if resume is not None:
        chosen = (copy, move, hardlink, symlink, watch, template != _TEMPLATE)
        _refuse_more([model, source, into, max_error], *chosen)
        return _resume(resume, json=json, quiet=quiet, verbose=verbose)
    if model is None or source is None or into is None:
        raise UsageError("a model, photos and a destination are needed", fix=_USAGE)
    wish = _Wish(model, source, into, way, max_error, template)
    if watch:
        return _watch(wish, yes=yes, json=json, quiet=quiet)
    planned = _plan(wish, quiet=quiet)
    if not json:
        _show_plan(planned.plan, verbose=verbose)
    if not apply:
        return _planned(planned, wish, json=json)
    if planned.plan.files and not yes:
        _ask(_question(planned.plan), wish.typed("--apply", "--yes"))
    return _apply(planned.plan, json=json, quiet=quiet, verbose=verbose)


def undo(
    journal: Journal,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> int:
    """Take a sort back: every file as it was, and nothing touched that was changed or moved since."""
    from sortograph import api

    with draw.progress(quiet=quiet) as progress:
        undone = api.undo(journal, progress=progress)
    if json:
        streams.out_json(undone.to_json())
        return PARTLY if undone.left else 0
    _show_listed("left alone", undone.left, verbose)
    rows = [("undone", counted(len(undone.undone), "file"))]
    if undone.journal is None:
        kept = "removed, as nothing is left to undo"
    else:
        kept = str(undone.journal)
        if not undone.left:
            kept += " (stays until later sorts into this folder are undone, too)"
    tables.facts([*rows, ("journal", kept)])
    return PARTLY if undone.left else 0


def _plan(wish: _Wish, *, quiet: bool) -> Sorted:
    from sortograph import api

    with draw.progress(quiet=quiet) as progress:
        return api.sort(
            wish.model,
            wish.source,
            into=wish.into,
            way=wish.way,
            max_error=wish.share,
            template=wish.template,
            progress=progress,
        )


def _apply(plan: SortPlan, *, json: bool, quiet: bool, verbose: bool) -> int:
    from sortograph import api

    with draw.progress(quiet=quiet) as progress:
        done = api.apply_sort(plan, progress=progress)
    return _told(done, json=json, verbose=verbose)


def _resume(journal: Path, *, json: bool, quiet: bool, verbose: bool) -> int:
    from sortograph import api

    with draw.progress(quiet=quiet) as progress:
        done = api.resume_sort(journal, progress=progress)
    return _told(done, json=json, verbose=verbose)


def _watch(wish: _Wish, *, yes: bool, json: bool, quiet: bool) -> int:
    """Until Ctrl-C, which is how it is meant to end."""
    if not yes:
        verb = _verb(wish.way).capitalize()
        asked = f"{verb} what is in {wish.source}, and all that arrives, to {wish.into}?"
        _ask(asked, wish.typed("--watch", "--yes"))
    total, partly, journal = 0, False, None
    if not quiet:
        streams.note(streams.safe(f"watching {wish.source}; Ctrl-C ends it"))
    try:
        for done in _arrivals(wish, quiet=quiet):
            total, partly = total + done.applied, partly or bool(done.plan.unreadable or done.left)
            journal = done.journal or journal
            _show_arrived(done, json=json)
    except KeyboardInterrupt:
        pass
    if not json:
        places = [] if journal is None else [("journal", str(journal)), ("undo", _undo(journal))]
        tables.facts([("sorted", counted(total, "photo")), *places])
    return PARTLY if partly else 0


def _arrivals(wish: _Wish, *, quiet: bool) -> Iterator[Sorted]:
    from sortograph import api

    with draw.progress(quiet=quiet) as progress:
        yield from api.watch_sort(
            wish.model,
            wish.source,
            into=wish.into,
            way=wish.way,
            max_error=wish.share,
            template=wish.template,
            progress=progress,
        )


def _show_arrived(done: Sorted, *, json: bool) -> None:
    if json:
        streams.out_json(done.to_json())
        return
    left = {file.path for file in done.left}
    for file in done.plan.photos:
        if file.path not in left:
            streams.out(streams.safe(f"{file.path}  {file.target}"))
    for gone in (*done.plan.unreadable, *done.left):
        streams.out(streams.safe(f"{gone.path}  stays: {gone.reason}"))


def _way(chosen: dict[str, bool]) -> str:
    """Raises UsageError for more than one."""
    ways = [way for way, is_chosen in chosen.items() if is_chosen]
    if len(ways) > 1:
        raise UsageError(" and ".join(f"--{way}" for way in ways), expected="one of them")
    return ways[0] if ways else "copy"


def _refuse_more(values: Sequence[object], *chosen: bool) -> None:
    if any(chosen) or any(value is not None for value in values):
        raise UsageError(
            "--resume takes a journal, and nothing else: what is sorted, whereto and how is in it",
            fix=f"{words.PROGRAM} sort --resume JOURNAL",
        )


def _show_plan(plan: SortPlan, *, verbose: bool) -> None:
    rows = [(label, plan.folders[label], str(count)) for label, count in plan.counts.items()]
    if plan.unsure:
        rows.append(("unsure", plan.folders[""], str(plan.unsure)))
    rows.append(("total", "", str(len(plan.photos))))
    tables.show(tables.Table(("class", "folder", "photos"), "llr", tuple(rows)))
    for line in _remarks(plan):
        streams.out(line)
    _show_names("there already, left where they are", plan.identical, verbose)
    _show_names("called otherwise there", plan.renamed, verbose)
    _show_listed("stay where they are", plan.unreadable, verbose)
    tables.facts([("from", str(plan.source)), ("to", str(plan.destination)), ("by", plan.way)])


def _remarks(plan: SortPlan) -> list[str]:
    companions = len(plan.files) - len(plan.photos)
    lines = [f"with their photos travel {counted(companions, 'companion file')}"] if companions else []
    if plan.unlike:
        where = "sorted by the nearest class" if not plan.unsure else f"in {plan.folders['']}"
        lines.append(f"unlike anything in training: {plan.unlike} ({where})")
    return lines


def _show_names(title: str, names: Sequence[Renamed], verbose: bool) -> None:
    lines = [f"{name.path} → {name.target}" for name in names]
    reasons = [
        f"{line} ({name.reason})" if name.reason else line for line, name in zip(lines, names, strict=True)
    ]
    _show_lines(title, reasons, verbose)


def _show_listed(title: str, files: Sequence[Rejected], verbose: bool) -> None:
    _show_lines(title, [f"{file.path}: {file.reason}" for file in files], verbose)


def _show_lines(title: str, lines: Sequence[str], verbose: bool) -> None:
    """Of many only the first, unless `verbose`."""
    if not lines:
        return
    streams.out(f"{title}: {len(lines)}")
    listed = lines if verbose else lines[:_SHOWN]
    for line in listed:
        streams.out(streams.safe(f"  {line}"))
    if len(listed) < len(lines):
        streams.out(f"  and {len(lines) - len(listed)} more (--verbose lists all)")


def _planned(planned: Sorted, wish: _Wish, *, json: bool) -> int:
    if json:
        streams.out_json(planned.to_json())
    elif planned.plan.files:
        tables.facts([("next", wish.typed("--apply"))])
    return PARTLY if planned.plan.unreadable else 0


def _told(done: Sorted, *, json: bool, verbose: bool) -> int:
    if json:
        streams.out_json(done.to_json())
    else:
        _show_listed("left alone", done.left, verbose)
        rows = [(_DONE[done.plan.way], counted(done.applied, "photo"))]
        if done.journal is not None:
            rows += [("journal", str(done.journal)), ("undo", _undo(done.journal))]
        tables.facts(rows)
    return PARTLY if done.left or done.plan.unreadable else 0


def _undo(journal: Path) -> str:
    return tables.command(words.PROGRAM, "undo", journal)


def _verb(way: str) -> str:
    return "link" if way.endswith("link") else way


def _question(plan: SortPlan) -> str:
    companions = len(plan.files) - len(plan.photos)
    more = f" and {counted(companions, 'companion file')}" if companions else ""
    return f"{_verb(plan.way).capitalize()} {counted(len(plan.photos), 'photo')}{more} to {plan.destination}?"


def _ask(question: str, without: str) -> None:
    """Raises Interrupted for any answer but yes, UsageError where nobody can answer.

    without: the command that does not ask
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError("nobody is there to say yes", expected="a terminal, or --yes", fix=without)
    streams.note(streams.safe(f"{question} [y/N]"))
    if sys.stdin.readline().strip().casefold() not in ("y", "yes"):
        raise Interrupted("nothing was changed")
