"""`cache`: what is kept to save time, and how to be rid of it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from sortograph.cli import options, streams, tables, words
from sortograph.errors import Interrupted, UsageError

PARTLY = 6
_COMMAND = (words.PROGRAM, "cache", "clear")
Kinds = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KIND", help="pixels, features, backbones, scans (default: all).", show_default=False
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def app() -> typer.Typer:
    made = typer.Typer(help="What is kept to save time, and how to be rid of it.", rich_markup_mode=None)
    for name, verb in (("info", info), ("clear", clear)):
        made.command(name)(options.deferred(verb))
    return made


def info(
    json: options.Json = False,
    _quiet: options.Quiet = False,
    _verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> int:
    """Tell where the caches lie and how large they are."""
    from sortograph import api

    found = api.cache_info()
    if json:
        streams.out_json(found)
        return 0
    rows = [
        (kind, tables.size(one["bytes"]), str(one["stores"]), str(one["in_use"]))
        for kind, one in found["kinds"].items()
    ]
    tables.show(tables.Table(("cache", "size", "stores", "in use"), "lrrr", tuple(rows)))
    used = f"{tables.size(found['bytes'])} of at most {tables.size(found['limit'])}"
    tables.facts([("place", found["place"]), ("takes", used)])
    return 0


def clear(
    kinds: Kinds = None,
    yes: Yes = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    _verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> int:
    """Remove caches. They are made again when they are needed, which takes time; nothing else is lost."""
    from sortograph import api

    found, chosen = api.cache_info(), kinds or []
    known = {kind: one for kind, one in found["kinds"].items() if kind in (chosen or found["kinds"])}
    if not quiet:
        _tell_used(known)
    if not yes and set(chosen) <= set(known) and any(one["bytes"] for one in known.values()):
        _ask(known, found["place"], chosen)
    done = api.clear_cache(chosen)
    if json:
        streams.out_json(done)
    else:
        _told(done)
    return PARTLY if done["left"] else 0


def _tell_used(kinds: Mapping[str, Mapping[str, Any]]) -> None:
    used = [kind for kind, one in kinds.items() if one["in_use"]]
    if used:
        streams.note(
            f"used within the last hour: {', '.join(used)}. A run that goes on makes again what it misses"
        )


def _ask(kinds: Mapping[str, Mapping[str, Any]], place: str, chosen: Sequence[str]) -> None:
    """Raises Interrupted for any answer but yes, UsageError where nobody can answer."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(
            "nobody is there to say yes",
            expected="a terminal, or --yes",
            fix=tables.command(*_COMMAND, *chosen, "--yes"),
        )
    listed = ", ".join(f"{kind} {tables.size(one['bytes'])}" for kind, one in kinds.items() if one["bytes"])
    streams.note(streams.safe(f"Remove {listed} from {place}? [y/N]"))
    if sys.stdin.readline().strip().casefold() not in ("y", "yes"):
        raise Interrupted("nothing was removed")


def _told(done: Mapping[str, Any]) -> None:
    removed = {kind: size for kind, size in done["removed"].items() if size}
    if not removed and not done["left"]:
        streams.out("nothing to remove")
        return
    rows = [
        ("removed", ", ".join(f"{kind} {tables.size(size)}" for kind, size in removed.items()) or "nothing")
    ]
    if done["left"]:
        left = ", ".join(f"{kind} {tables.size(size)}" for kind, size in done["left"].items())
        rows.append(("still there", f"{left}: in use, or not ours to remove"))
    tables.facts([*rows, ("from", done["place"])])
