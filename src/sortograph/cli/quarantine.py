"""`quarantine`: photos that an audit found, moved out of the way and back."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sortograph.cli import draw, options, streams, tables, words
from sortograph.errors import Interrupted, UsageError, counted

if TYPE_CHECKING:
    from sortograph.moving import Moved, Plan

PARTLY = 6
_COMMAND = (words.PROGRAM, "quarantine")
_SHOWN = 10
File = Annotated[
    Path, typer.Argument(metavar="PLAN", help="A plan that an audit wrote (--fix).", show_default=False)
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what would be moved; change nothing.")]


def app() -> typer.Typer:
    made = typer.Typer(
        help="Move photos that an audit found out of the way, and back.", rich_markup_mode=None
    )
    for name, verb in (("apply", apply), ("undo", undo)):
        made.command(name)(options.deferred(verb))
    return made


def apply(
    plan: File,
    yes: Yes = False,
    dry_run: DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> int:
    """Move the photos of a plan to its quarantine folder. Deletes none, and goes on where it was stopped."""
    from sortograph import api
    from sortograph.moving import read_plan

    wanted = read_plan(plan)
    if not json:
        _show_plan(wanted)
    if not (yes or dry_run):
        _ask(wanted, plan)
    with draw.progress(quiet=quiet) as progress:
        moved = api.quarantine(plan, dry_run=dry_run, progress=progress)
    verb = "apply" if dry_run else "undo"
    return _told(moved, (_would(dry_run), (*_COMMAND, verb, plan)), json=json, verbose=verbose)


def undo(
    plan: File,
    dry_run: DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> int:
    """Move the photos of a plan back, to exactly where they were."""
    from sortograph import api

    with draw.progress(quiet=quiet) as progress:
        moved = api.quarantine(plan, undo=True, dry_run=dry_run, progress=progress)
    if not (json or moved.moved or moved.skipped):
        streams.out("nothing to undo")
        return 0
    verb = "undo" if dry_run else "apply"
    return _told(moved, (f"{_would(dry_run)} back", (*_COMMAND, verb, plan)), json=json, verbose=verbose)


def _would(dry_run: bool) -> str:
    return "would be moved" if dry_run else "moved"


def _show_plan(plan: Plan) -> None:
    counts = Counter(photo.check for photo in plan.photos)
    rows = (*((check, str(count)) for check, count in counts.items()), ("total", str(len(plan.photos))))
    tables.show(tables.Table(("check", "photos"), "lr", rows))
    tables.facts([("from", str(plan.root)), ("to", str(plan.to))])


def _ask(plan: Plan, file: Path) -> None:
    """Raises Interrupted for any answer but yes, UsageError where nobody can answer."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(
            "nobody is there to say yes",
            expected="a terminal, or --yes",
            fix=tables.command(*_COMMAND, "apply", file, "--yes"),
        )
    streams.note(streams.safe(f"Move {counted(len(plan.photos), 'photo')} to {plan.to}? [y/N]"))
    if sys.stdin.readline().strip().casefold() not in ("y", "yes"):
        raise Interrupted("nothing was moved")


def _told(moved: Moved, words_: tuple[str, tuple[object, ...]], *, json: bool, verbose: bool) -> int:
    """Shows what was done, and what to type next; 6 when photos were left alone."""
    if json:
        streams.out_json(moved.to_json())
    else:
        done, command = words_
        _show_skipped(moved, verbose)
        quarantine = "from" if done.endswith(" back") else "to"
        places = [(quarantine, str(moved.to)), ("journal", str(moved.journal))]
        known = [(done, counted(len(moved.moved), "photo")), *places]
        tables.facts([*known, ("next", tables.command(*command))])
    return PARTLY if moved.skipped else 0


def _show_skipped(moved: Moved, verbose: bool) -> None:
    """Photos that were left alone, and why; of many only the first, unless `verbose`."""
    if not moved.skipped:
        return
    listed = moved.skipped if verbose else moved.skipped[:_SHOWN]
    streams.out(f"left alone: {len(moved.skipped)}")
    for photo in listed:
        streams.out(streams.safe(f"  {photo.path}: {photo.reason}"))
    if len(listed) < len(moved.skipped):
        streams.out(f"  and {len(moved.skipped) - len(listed)} more (--verbose lists all)")
