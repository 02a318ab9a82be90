"""`serve`: a model as a page and an API."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from sortograph.cli import options, streams, words
from sortograph.errors import UsageError

_MB = 1 << 20

Models = Annotated[
    list[Path], typer.Argument(metavar="MODEL...", help=words.SERVE_MODELS, show_default=False)
]
Host = Annotated[str, typer.Option("--host", metavar="ADDRESS", help=words.SERVE_HOST)]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, metavar="N", help=words.SERVE_PORT)]
Open = Annotated[bool, typer.Option("--open", help=words.SERVE_OPEN)]
Token = Annotated[str | None, typer.Option("--token", metavar="TOKEN", help=words.SERVE_TOKEN)]
TokenFile = Annotated[Path | None, typer.Option("--token-file", metavar="FILE", help=words.SERVE_TOKEN_FILE)]
Hosts = Annotated[list[str] | None, typer.Option("--allow-host", metavar="NAME", help=words.SERVE_HOSTS)]
Corrections = Annotated[
    Path | None, typer.Option("--corrections", metavar="DIR", help=words.SERVE_CORRECTIONS)
]
MaxError = Annotated[str | None, typer.Option("--max-error", metavar="SHARE", help=words.PREDICT_MAX_ERROR)]
Body = Annotated[int, typer.Option("--max-body", min=1, metavar="MB", help=words.SERVE_BODY)]
HeldBytes = Annotated[int, typer.Option("--max-held", min=1, metavar="MB", help=words.SERVE_HELD)]
Photos = Annotated[int, typer.Option("--max-photos", min=1, metavar="N", help=words.SERVE_PHOTOS)]
Pixels = Annotated[
    float, typer.Option("--max-megapixels", min=0.01, max=50.0, metavar="N", help=words.SERVE_PIXELS)
]
Queue = Annotated[int, typer.Option("--queue", min=1, metavar="N", help=words.SERVE_QUEUE)]
Clients = Annotated[int, typer.Option("--clients", min=1, metavar="N", help=words.SERVE_CLIENTS)]
Seconds = Annotated[float, typer.Option("--seconds", min=0.1, metavar="S", help=words.SERVE_SECONDS)]
Idle = Annotated[float, typer.Option("--idle", min=0.1, metavar="S", help=words.SERVE_IDLE)]
Workers = Annotated[int | None, typer.Option("--workers", min=1, metavar="N", help=words.SERVE_WORKERS)]


def serve(
    models: Models,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    open_: Open = False,
    token: Token = None,
    token_file: TokenFile = None,
    allow_host: Hosts = None,
    corrections: Corrections = None,
    max_error: MaxError = None,
    max_body: Body = 32,
    max_held: HeldBytes = 256,
    max_photos: Photos = 32,
    max_megapixels: Pixels = 50.0,
    queue: Queue = 256,
    clients: Clients = 256,
    seconds: Seconds = 30.0,
    idle: Idle = 10.0,
    workers: Workers = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> int:
    """A page for photos and an API for programs. Ctrl-C ends it; what was accepted is answered first."""
    from sortograph.api.serving import Serving, serve
    from sortograph.cli.text import wrong_share
    from sortograph.serve.limits import Limits

    _log(quiet, verbose)
    limits = Limits(
        max_body * _MB,
        max_held * _MB,
        max_photos,
        int(max_megapixels * 1e6),
        queue,
        clients,
        seconds,
        idle,
    )
    given = Serving(
        host,
        port,
        _token(token, token_file),
        tuple(allow_host or ()),
        corrections,
        None if max_error is None else wrong_share(max_error, f"{words.PROGRAM} serve"),
        decoders=workers,
        lanes=workers,
    )
    serve(models, options=given, limits=limits, told=lambda at: _tell(at, json, quiet, open_))
    return 0


def _token(token: str | None, file: Path | None) -> str:
    """Of the option, the file or the environment; "" for none. Raises UsageError."""
    from sortograph.api.serving import TOKEN_VARIABLE, check_token, read_token

    if token is not None and file is not None:
        raise UsageError("a token and a file with one", expected="--token or --token-file", fix=_HELP)
    if file is not None:
        return read_token(file)
    if token is not None:
        return check_token(token, "--token")
    given = os.environ.get(TOKEN_VARIABLE, "")
    return check_token(given, TOKEN_VARIABLE) if given else ""


def _tell(address: str, json: bool, quiet: bool, open_: bool) -> None:
    if json:
        streams.out_json({"address": address})
    elif not quiet:
        streams.out(address)
        streams.note("Ctrl-C ends it")
    if open_:
        import threading
        import webbrowser

        # Some wait until the browser has opened, or even until it is closed: the server shall not.
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def _log(quiet: bool, verbose: bool) -> None:
    """The server's own words on stderr: never a name of a file, a query or a token."""
    import logging

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            streams.note(streams.safe(self.format(record), keep="\n"))

    level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
    for name, least in (("sortograph.serve", level), ("uvicorn.error", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [Notes()], False
        logger.setLevel(least)


_HELP = f"{words.PROGRAM} serve --help"
