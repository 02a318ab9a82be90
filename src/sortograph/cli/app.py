"""All commands but `predict`, parsed by Typer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import typer

import sortograph
from sortograph import errors
from sortograph.cli import (
    audit,
    backbones,
    cache,
    compare,
    data,
    diagnose,
    doctor,
    explain,
    judge,
    quarantine,
    recipes,
    review,
    serve,
    sort,
    streams,
    sweep,
    train,
    weights,
    words,
)
from sortograph.cli.options import deferred
from sortograph.errors import UsageError

Version = Annotated[
    bool,
    typer.Option(
        "--version", is_eager=True, callback=lambda asked: _tell_version(asked), help="Print the version."
    ),
]


def run(arguments: list[str]) -> int:
    """Parse, then run the command; its exit code. Raises UsageError for what cannot be parsed."""
    try:
        with streams.written():  # Typer prints its help itself
            result = app()(arguments, prog_name=words.PROGRAM, standalone_mode=False)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        raise _usage(error) from None
    return result() if callable(result) else int(result or 0)


def app() -> typer.Typer:
    made = typer.Typer(
        epilog=words.START,
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode=None,  # plain help comes in half the time
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    made.callback()(_program)
    made.command("index")(deferred(data.index))
    made.command("audit")(deferred(audit.audit))
    made.add_typer(quarantine.app(), name="quarantine")
    made.command("train")(deferred(train.train))
    made.command("evaluate")(deferred(judge.evaluate))
    made.command("report")(deferred(judge.report))
    made.command("explain")(deferred(explain.explain))
    made.command("diagnose")(deferred(diagnose.diagnose))
    made.command("sweep")(deferred(sweep.sweep))
    made.command("compare")(deferred(compare.compare))
    made.command(
        "predict",
        help=words.PREDICT,
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )(_predict)
    made.command("sort")(deferred(sort.sort))
    made.command("undo")(deferred(sort.undo))
    made.command("review")(deferred(review.review))
    made.command("serve")(deferred(serve.serve))
    made.add_typer(recipes.app(), name="recipes")
    made.command("backbones")(deferred(backbones.backbones))
    made.add_typer(weights.app(), name="weights")
    made.add_typer(cache.app(), name="cache")
    made.command("demo")(deferred(train.demo))
    made.command("doctor")(deferred(doctor.doctor))
    return made


def _program(_version: Version = False) -> None:
    """From a folder of labelled photos to an image classifier."""


def _tell_version(asked: bool) -> None:
    if asked:
        streams.out(f"{words.PROGRAM} {sortograph.__version__}")
        raise typer.Exit


def _predict(context: typer.Context) -> Callable[[], int]:
    from sortograph.cli import predict

    return partial(predict.run, list(context.args))


def _usage(error: Any) -> UsageError:
    """Typer's complaint in our shape."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else words.PROGRAM
    setting = _setting(getattr(error, "option_name", ""))
    resumed = context and context.params.get("resume")
    if resumed and getattr(error, "param", None) and error.param.name == "photos":
        return UsageError(
            error.format_message().rstrip("."),
            expected="the photos, too: a run does not keep where they lie",
            fix=errors.command(*command.split(), "PHOTOS", "--resume", resumed),
        )
    return UsageError(
        error.format_message().rstrip("."),
        expected=f"--set {setting}=VALUE, as it is a value of the recipe" if setting else "",
        fix=f"{command} --help",
    )


def _setting(option: str) -> str:
    """The key of a recipe that is meant by an option which does not exist: --epochs → train.epochs."""
    from sortograph.recipe import Recipe

    name = option.removeprefix("--").replace("-", "_")
    sections = [(key, value) for key, value in Recipe().to_dict().items() if isinstance(value, dict)]
    sections.sort(key=lambda section: section[0] != "train")  # meant where several have it
    return next((f"{section}.{name}" for section, values in sections if name in values), "")
