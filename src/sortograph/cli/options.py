"""Options and arguments that mean the same in every command, for Typer."""

from __future__ import annotations

from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sortograph.cli import words

if TYPE_CHECKING:
    from collections.abc import Callable

Photos = Annotated[Path, typer.Argument(metavar="PHOTOS", help=words.PHOTOS, show_default=False)]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help=words.MODEL, show_default=False)]
Json = Annotated[bool, typer.Option("--json", help=words.JSON)]
Quiet = Annotated[bool, typer.Option("--quiet", help=words.QUIET)]
Verbose = Annotated[bool, typer.Option("--verbose", help=words.VERBOSE)]
# Read by `main` before anything is parsed, since parsing can fail too.
Debug = Annotated[bool, typer.Option("--debug", help=words.DEBUG)]
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help=words.OUT)]
Seed = Annotated[int | None, typer.Option("--seed", min=0, max=2**32 - 1, metavar="N", help=words.SEED)]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=words.SET)]
Recipe = Annotated[str | None, typer.Option("--recipe", metavar="NAME|FILE", help=words.RECIPE)]
Classes = Annotated[str | None, typer.Option("--classes", metavar="A,B,C", help=words.CLASSES)]
Budget = Annotated[str | None, typer.Option("--budget", metavar="TIME", help=words.BUDGET)]
Log = Annotated[str | None, typer.Option("--log", metavar="KIND", help=words.LOG)]
CorrectionsOf = Annotated[
    Path | None, typer.Option("--corrections", metavar="DIR", help=words.CORRECTIONS_OF)
]
NoPretrained = Annotated[bool, typer.Option("--no-pretrained", help=words.NO_PRETRAINED)]
GroupFrom = Annotated[str | None, typer.Option("--group-from", metavar="REGEX", help=words.GROUP_FROM)]
FollowLinks = Annotated[bool, typer.Option("--follow-links", help=words.FOLLOW_LINKS)]


def of_data(group_from: str | None, follow_links: bool) -> list[str]:
    """What the two options mean as values of the recipe.

    >>> of_data(r"(w\\d+)", True)
    ['split.group_from="(w\\\\\\\\d+)"', 'data.follow_links=true']
    """
    import json

    given = [] if group_from is None else [f"split.group_from={json.dumps(group_from)}"]
    return [*given, "data.follow_links=true"] if follow_links else given


def again(
    recipe: str | None,
    overrides: list[str] | None,
    classes: str | None,
    group_from: str | None,
    follow_links: bool,
) -> list[str]:
    """The options that decide about photos and splits, as they are typed for another command.

    >>> again(None, ["split.seed=5"], None, "(w[0-9])", True)
    ['--set', 'split.seed=5', '--group-from', '(w[0-9])', '--follow-links']
    """
    named = (("--recipe", recipe), ("--classes", classes), ("--group-from", group_from))
    recipe_, *others = [[name, value] if value is not None else [] for name, value in named]
    sets = [word for change in overrides or () for word in ("--set", change)]
    words_ = [*recipe_, *sets, *(word for pair in others for word in pair)]
    return [*words_, "--follow-links"] if follow_links else words_


def deferred(verb: Callable[..., int]) -> Callable[..., Callable[[], int]]:
    """The command that parses for `verb` and returns the call, for `app.run` to make.

    Typer turns some exceptions of what it calls itself into others; so it parses and no more.
    """

    @wraps(verb)
    def parsed(**options: object) -> Callable[[], int]:
        return partial(verb, **options)

    return parsed


def listed(text: str | None) -> list[str] | None:
    """ "a,b,c" → its names; quotes keep a comma inside a name. None stays None. Raises UsageError.

    >>> listed('cat, "dog, wet"')
    ['cat', 'dog, wet']
    """
    if text is None:
        return None
    import csv

    from sortograph.errors import UsageError

    names = [name.strip() for row in csv.reader([text], skipinitialspace=True) for name in row]
    if not names or "" in names or len(set(names)) < len(names):
        raise UsageError("--classes has an empty name or one twice", where=text, expected="a,b,c")
    return names
