"""The console entry point. Only the verb that was asked for is imported."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from sortograph.cli import failures, streams


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; `argv` without the program's name. Returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    streams.prepare()
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return failures.guarded(lambda: _run(arguments), debug="--debug" in options)


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["predict"]:  # without Typer, whose import takes longer than a prediction
        from sortograph.cli import predict

        return predict.run(arguments[1:])
    from sortograph.cli import app

    return app.run(arguments or ["--help"])
