"""`doctor`: what is installed, and whether a model answers as it should."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from sortograph.cli import options, streams, tables, words

Model = Annotated[Path | None, typer.Argument(metavar="MODEL", help=words.MODEL, show_default=False)]


def doctor(
    model: Model = None,
    json: options.Json = False,
    _quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> int:
    """Tell what is installed. With a model, whether it answers as it should."""
    from sortograph import api

    found = api.doctor(model)
    if json:
        streams.out_json(found)
    else:
        tables.facts(list(_lines("", found) if verbose else _told(found)))
    return 0


def _told(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a person wants to know."""
    about, kinds = found["environment"], found["caches"]
    system = about["platform"]
    yield words.PROGRAM, found["version"]
    yield "runs on", f"Python {about['python']}, {system['system']} {system['machine']}, {about['cpus']} CPUs"
    yield "trains on", found["device"]
    yield "with", ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    sizes = ", ".join(f"{kind} {tables.size(cache['bytes'])}" for kind, cache in kinds.items())
    yield "caches", f"{sizes}; together at most {tables.size(kinds['pixels']['limit'])}"
    if found["weights"]:
        named = (f"{one['name']} (damaged)" if one["damaged"] else one["name"] for one in found["weights"])
        yield "added weights", ", ".join(named)
    for extra, installed in found["extras"].items():
        told = "installed" if installed else f'not installed: pip install "{words.PROGRAM}[{extra}]"'
        yield f"extra {extra}", told
    if "model" in found:
        model = found["model"]
        height, width = model["size"]
        difference = model["largest_difference_of_a_logit"]
        yield "model", f"intact, SHA-256 {model['sha256']}, made with {model['made_with'] or 'unknown'}"
        yield "classes", ", ".join(model["classes"])
        yield "sees photos as", f"{width}×{height} pixels"
        yield "answers", f"as where it was made (logits differ by {difference:.1g} at most)"


def _lines(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Nested data as dotted names.

    >>> list(_lines("", {"a": {"b": True, "c": []}}))
    [('a.b', 'yes'), ('a.c', '–')]
    """
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _lines(f"{name}.{key}" if name else str(key), inner)
    elif isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
        for number, inner in enumerate(value, 1):
            yield from _lines(f"{name}.{number}", inner)
    elif isinstance(value, bool):
        yield name, "yes" if value else "no"
    elif isinstance(value, list | tuple) and value:
        yield name, ", ".join(map(str, value))
    else:
        yield name, str(value) if value or value == 0 else "–"
