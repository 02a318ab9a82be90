"""`backbones`: networks that others have taught."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sortograph.cli import options, streams, tables, words
from sortograph.errors import counted

if TYPE_CHECKING:
    from sortograph.models.catalogue import Listed

Pattern = Annotated[str, typer.Argument(metavar="[PATTERN]", help=words.PATTERN, show_default=False)]
AtHand = Annotated[bool, typer.Option("--at-hand", help=words.AT_HAND)]


def backbones(
    pattern: Pattern = "",
    at_hand: AtHand = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    _verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> int:
    """List networks that others have taught, by name."""
    from dataclasses import asdict

    from sortograph import api
    from sortograph.models.aliases import ALIASES

    found = [one for one in api.backbones(pattern) if one.at_hand or not at_hand]
    if json:
        streams.out_json({"backbones": [asdict(one) for one in found], "aliases": dict(ALIASES)})
        return 0
    if found:
        aliases = {name: alias for alias, name in ALIASES.items()}
        rows = tuple(_row(one, aliases.get(one.name, "")) for one in found)
        header = ("backbone", "alias", "parameters", "photos", "licence", "at hand")
        tables.show(tables.Table(header, "llrrll", rows))
    if not quiet:
        streams.note(streams.safe(_summary(found, pattern)))
    return 0


def _row(one: Listed, alias: str) -> tuple[str, ...]:
    height, width = one.input_size
    return (
        one.name,
        alias,
        millions(one.parameters),
        f"{width}×{height}",
        one.licence or "not stated",
        "yes" if one.at_hand else "no",
    )


def _summary(found: list[Listed], pattern: str) -> str:
    if not found:
        return f"no backbone fits {pattern!r}" if pattern else "no backbone is at hand"
    here = sum(one.at_hand for one in found)
    return f"{counted(len(found), 'backbone')}, {here} with weights on this machine"


def millions(parameters: int | None) -> str:
    """
    >>> millions(4_007_548), millions(722_496), millions(None)
    ('4.0 M', '0.7 M', '–')
    """
    return "–" if parameters is None else f"{parameters / 1e6:.1f} M"
