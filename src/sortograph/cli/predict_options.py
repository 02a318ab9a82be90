"""What `predict` understands, on a parser of its own: Typer's import takes longer than a prediction."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NoReturn

from sortograph.cli import streams, words
from sortograph.cli.text import wrong_share
from sortograph.errors import UsageError, nearest

COMMAND = f"{words.PROGRAM} predict"
STDOUT = "-"
_SUFFIXES = {"csv": (".csv",), "parquet": (".parquet",), "html": (".html", ".htm"), "grid": (".png",)}
_KINDS = {"csv": "CSV", "parquet": "Parquet", "html": "HTML", "grid": "PNG"}


class _Parser(argparse.ArgumentParser):
    """Complains by raising UsageError."""

    def error(self, message: str) -> NoReturn:
        known = [option for action in self._actions for option in action.option_strings]
        typed = next((word for word in message.split() if word.startswith("--") and word not in known), "")
        hint = nearest(typed.partition("=")[0], known) if typed else ""
        raise UsageError(message + hint, fix=f"{COMMAND} --help")

    def _print_message(self, message: str, _file: object = None) -> None:
        streams.out(message.rstrip("\n"))


def parser() -> argparse.ArgumentParser:
    made = _Parser(prog=COMMAND, description=words.PREDICT, allow_abbrev=False, formatter_class=_formatter)
    made.add_argument("model", metavar="MODEL", help=words.MODEL)
    made.add_argument("inputs", metavar="PHOTOS", nargs="+", help=words.PREDICT_INPUTS)
    forms = made.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help=words.JSON)
    forms.add_argument("--csv", nargs="?", const=STDOUT, metavar="FILE.csv", help=words.PREDICT_CSV)
    made.add_argument("--parquet", type=Path, metavar="FILE.parquet", help=words.PREDICT_PARQUET)
    made.add_argument("--html", type=Path, metavar="FILE.html", help=words.PREDICT_PAGE)
    made.add_argument("--grid", type=Path, metavar="FILE.png", help=words.PREDICT_GRID)
    made.add_argument("--resume", action="store_true", help=words.PREDICT_RESUME)
    made.add_argument(
        "--max-error",
        type=lambda text: wrong_share(text, COMMAND),
        metavar="SHARE",
        help=words.PREDICT_MAX_ERROR,
    )
    made.add_argument("--top-k", type=int, metavar="N", help=words.PREDICT_TOP_K)
    made.add_argument("--threads", type=int, metavar="N", help=words.PREDICT_THREADS)
    made.add_argument("--isolate", action="store_true", help=words.PREDICT_ISOLATE)
    made.add_argument("--quiet", action="store_true", help=words.QUIET)
    made.add_argument("--verbose", action="store_true", help=words.VERBOSE)
    made.add_argument("--debug", action="store_true", help=words.DEBUG)
    return made


def _formatter(prog: str) -> argparse.HelpFormatter:
    """As argparse makes it, but without the import of all of shutil, which every start would pay for."""
    try:
        columns = os.get_terminal_size().columns
    except (OSError, ValueError):
        columns = 80
    return argparse.HelpFormatter(prog, width=columns - 2)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Raises UsageError; SystemExit after --help."""
    options = parser().parse_intermixed_args(_with_csv_place(arguments))
    for option, suffixes in _SUFFIXES.items():
        place = getattr(options, option)
        if place not in (None, STDOUT) and Path(place).suffix.lower() not in suffixes:
            raise UsageError(
                f"--{option} writes {_KINDS[option]}", where=str(place), expected=f"FILE{suffixes[0]}"
            )
    for option in ("top_k", "threads"):
        count = getattr(options, option)
        if count is not None and count < 1:
            raise UsageError(
                f"--{option.replace('_', '-')} is {count}", expected="a whole number of at least 1"
            )
    if options.resume and options.csv in (None, STDOUT) and options.parquet is None:
        raise UsageError(
            "--resume without a table to go on with", expected="--csv FILE.csv or --parquet FILE"
        )
    options.top_k = options.top_k or (5 if options.json else 1)
    return options


def _with_csv_place(arguments: list[str]) -> list[str]:
    """`--csv` takes the next word only if it names a CSV file: it must never write over a photo."""
    ends = [*arguments[1:], ""]
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [
        f"--csv={STDOUT}" if word == "--csv" and k < end and not after.lower().endswith(".csv") else word
        for k, (word, after) in enumerate(zip(arguments, ends, strict=False))
    ]
