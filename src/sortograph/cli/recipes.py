"""`recipes`: what can be trained, and how."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from sortograph.cli import options, streams, tables, words

Name = Annotated[str, typer.Argument(metavar="NAME|FILE", help=words.RECIPE, show_default=False)]
Copy = Annotated[Path, typer.Argument(metavar="FILE", help="The .toml file to write.", show_default=False)]


def app() -> typer.Typer:
    made = typer.Typer(help="List, show, copy and check recipes.", rich_markup_mode=None)
    made.callback(invoke_without_command=True)(_default)
    for name, verb in (("list", list_), ("show", show), ("copy", copy), ("check", check)):
        made.command(name)(options.deferred(verb))
    return made


def _default(context: typer.Context) -> Callable[[], int] | None:
    """List, show, copy and check recipes."""
    return None if context.invoked_subcommand else partial(list_)


def list_(json: options.Json = False, _debug: options.Debug = False) -> int:
    """Print the names of all recipes, and what each is for."""
    from sortograph import api

    found = api.recipes()
    if json:
        streams.out_json({"recipes": [{"name": name, "about": about} for name, about in found]})
    else:
        tables.show(tables.Table(("recipe", "about"), "ll", tuple(found)))
    return 0


def show(name: Name, _debug: options.Debug = False) -> int:
    """Print a recipe as it is written, comments included."""
    from sortograph.recipe import recipe_text

    streams.out(streams.safe(recipe_text(name), keep="\n\t").rstrip("\n"))
    return 0


def copy(name: Name, file: Copy, _debug: options.Debug = False) -> int:
    """Write a recipe into a file of your own, to change it."""
    from sortograph import api

    written = api.copy_recipe(name, file)
    copied = ("recipe", str(written))
    tables.facts([copied, ("next", tables.command(words.PROGRAM, "train", "PHOTOS", "--recipe", written))])
    return 0


def check(name: Name, overrides: options.Set = None, _debug: options.Debug = False) -> int:
    """Check a recipe. Prints the network that it makes, with all shapes."""
    from sortograph import api

    streams.out(streams.safe(api.check_recipe(name, overrides or ()), keep="\n"))
    return 0
