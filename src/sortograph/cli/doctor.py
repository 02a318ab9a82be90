"""`doctor`: what is installed, and whether a model answers as it should."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from sortograph.cli import options, streams, tables, words

Model = Annotated[Path | None, typer.Argument(metavar="[MODEL]", help=words.MODEL, show_default=False)]


def doctor(
    model: Model = None,
    json: options.Json = False,
    _quiet: options.Quiet = False,
    _verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> int:
    """Tell what is installed. With a model, whether it answers as it should."""
    from sortograph import api

    found = api.doctor(model)
    if json:
        streams.out_json(found)
    else:
        tables.facts(list(_lines("", found)))
    return 0


def _lines(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Nested data as dotted names.

    >>> list(_lines("", {"a": {"b": True, "c": []}}))
    [('a.b', 'yes'), ('a.c', '–')]
    """
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _lines(f"{name}.{key}" if name else str(key), inner)
    elif isinstance(value, bool):
        yield name, "yes" if value else "no"
    elif isinstance(value, list | tuple) and value:
        yield name, ", ".join(map(str, value))
    else:
        yield name, str(value) if value or value == 0 else "–"
