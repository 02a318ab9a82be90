"""`weights`: weights of the user's own, for use as backbones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from sortograph.cli import options, streams, tables, words
from sortograph.cli.backbones import millions
from sortograph.errors import UsageError, WeightsError

Name = Annotated[str, typer.Argument(metavar="NAME", help=words.WEIGHTS_NAME, show_default=False)]
File = Annotated[Path, typer.Argument(metavar="FILE", help=words.WEIGHTS_FILE, show_default=False)]
Mean = Annotated[str | None, typer.Option("--mean", metavar="M[,M,M]", help=words.WEIGHTS_MEAN)]
Std = Annotated[str | None, typer.Option("--std", metavar="S[,S,S]", help=words.WEIGHTS_STD)]
Side = Annotated[str | None, typer.Option("--input-size", metavar="N[,N]", help=words.WEIGHTS_SIZE)]
Arguments = Annotated[
    list[str] | None, typer.Option("--model-arg", metavar="KEY=VALUE", help=words.WEIGHTS_ARGUMENT)
]
Licence = Annotated[str, typer.Option("--licence", metavar="NAME", help=words.WEIGHTS_LICENCE)]
Origin = Annotated[str, typer.Option("--origin", metavar="TEXT", help=words.WEIGHTS_ORIGIN)]
_TRUTHS = {"true": True, "false": False}


def app() -> typer.Typer:
    made = typer.Typer(help="Add and list weights of your own.", rich_markup_mode=None)
    made.callback(invoke_without_command=True)(_default)
    for name, verb in (("add", add), ("list", list_)):
        made.command(name)(options.deferred(verb))
    return made


def _default(context: typer.Context) -> Callable[[], int] | None:
    """Add and list weights of your own."""
    return None if context.invoked_subcommand else partial(list_)


def add(
    name: Name,
    file: File,
    mean: Mean = None,
    std: Std = None,
    input_size: Side = None,
    model_arg: Arguments = None,
    licence: Licence = "",
    origin: Origin = "",
    json: options.Json = False,
    _quiet: options.Quiet = False,
    _verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> int:
    """Keep weights of your own as a backbone. What no option tells is as the network's library has it."""
    from sortograph import api

    added = api.add_weights(
        name,
        file,
        mean=numbers("--mean", mean),
        std=numbers("--std", std),
        input_size=_sides(input_size),
        arguments=arguments(model_arg),
        licence=licence,
        origin=origin,
    )
    if json:
        streams.out_json(added.to_json())
        return 0
    spec = added.preprocess
    tables.facts(
        [
            ("backbone", added.name),
            ("network", f"{added.architecture} of {added.library}, {millions(added.parameters)} parameters"),
            ("sees photos as", f"{spec.size[1]}×{spec.size[0]} pixels, {spec.mode}, {spec.interpolation}"),
            ("mean and std", f"{_told(spec.mean)} and {_told(spec.std)}"),
            ("licence", added.licence or "not stated"),
            ("weights", f"SHA-256 {added.weights}"),
            ("next", tables.command(words.PROGRAM, "train", "PHOTOS", "--set", _recipe(added.name))),
        ]
    )
    return 0


def list_(json: options.Json = False, _debug: options.Debug = False) -> int:
    """Print the weights that were added, and what is known of each."""
    from sortograph import api
    from sortograph.models import registry

    entries = api.weights()
    sound = {name: one for name, one in entries.items() if not isinstance(one, WeightsError)}
    damaged = {name: one for name, one in entries.items() if isinstance(one, WeightsError)}
    if json:
        reasons = {name: error.what for name, error in damaged.items()}
        known = [one.to_json() for one in sound.values()]
        streams.out_json({"weights": known, "damaged": reasons, "place": str(registry.folder())})
        return 0
    rows = [
        (name, one.architecture, millions(one.parameters), one.licence or "not stated", one.origin)
        for name, one in sound.items()
    ]
    if rows:
        header = ("backbone", "network", "parameters", "licence", "origin")
        tables.show(tables.Table(header, "llrll", tuple(rows)))
        tables.facts([("place", str(registry.folder()))])
    for error in damaged.values():
        streams.note(streams.safe(f"warning: {error}", keep="\n"))
    if not entries:
        streams.note("no weights were added yet: sortograph weights add NAME FILE")
    return 0


def numbers(option: str, text: str | None) -> tuple[float, ...] | float | None:
    """ "0.5" or "0.485,0.456,0.406". Raises UsageError.

    >>> numbers("--mean", "0.5"), numbers("--mean", "0.1, 0.2, 0.3")
    (0.5, (0.1, 0.2, 0.3))
    """
    if text is None:
        return None
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) not in (1, 3):
        raise UsageError(f"{option} {text}", expected="one number, or three separated by commas")
    return values[0] if len(values) == 1 else values


def _sides(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    sides = [int(part) for part in text.split(",") if part.strip().isdecimal()]
    if len(sides) != text.count(",") + 1 or len(sides) > 2:
        raise UsageError(f"--input-size {text}", expected="a side in pixels, or height,width")
    return sides[0], sides[-1]


def arguments(given: list[str] | None) -> dict[str, str | int | float | bool]:
    """KEY=VALUE, several times; numbers and true and false are what they look like. Raises UsageError.

    >>> arguments(["pad_type=same", "scale=0.5", "bias=false", "depth=3"])
    {'pad_type': 'same', 'scale': 0.5, 'bias': False, 'depth': 3}
    """
    pairs = [text.partition("=") for text in given or ()]
    if wrong := [key for key, equals, value in pairs if not (key and equals and value)]:
        raise UsageError(f"--model-arg {wrong[0]}", expected="KEY=VALUE, such as pad_type=same")
    return {key.strip(): _value(value.strip()) for key, _, value in pairs}


def _value(text: str) -> str | int | float | bool:
    if text.lower() in _TRUTHS:
        return _TRUTHS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _told(values: tuple[float, ...]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else ", ".join(f"{value:g}" for value in values)


def _recipe(name: str) -> str:
    return f'auto.backbones=["{name}"]'
