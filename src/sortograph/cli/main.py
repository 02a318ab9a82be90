"""The console entry point. Only the verb that was asked for is imported."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Sequence

from sortograph.cli import failures, streams
from sortograph.lazy import importing, own_process

# Whether nobody has asked so far to be called at the end: `_leave` is the last one then, after all threads.
_is_first = getattr(atexit, "_ncallbacks", lambda: 1)() == 0
_codes: list[int] = []  # the exit code of a program that has done its work


def _leave() -> None:
    """Ends the process. The interpreter would take all libraries apart first: up to half a second."""
    if not (_codes and _is_first):
        return
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return  # which the interpreter tells
    os._exit(_codes[0])


atexit.register(_leave)


def program() -> int:
    """`main` as the whole program: its exit code, with which the process is then to end without delay."""
    own_process()
    code = main()
    _codes.append(code)
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; `argv` without the program's name. Returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    streams.prepare()
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return failures.guarded(lambda: _run(arguments), debug="--debug" in options)


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["predict"]:  # without Typer, whose import takes longer than a prediction
        with importing(early=True):
            from sortograph.cli import predict

        return predict.run(arguments[1:])
    with importing(early=True):
        from sortograph.cli import app

    return app.run(arguments or ["--help"])
