"""serve: models over HTTP."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sortograph.cores import cores
from sortograph.errors import MissingExtra, StorageError, UsageError
from sortograph.files import make_folder, storage_errors

if TYPE_CHECKING:
    from sortograph.serve.limits import Limits
    from sortograph.serve.server import Server

__all__ = ["TOKEN_VARIABLE", "Serving", "make_server", "read_token", "serve"]

TOKEN_VARIABLE = "SORTOGRAPH_TOKEN"
_SHORTEST = 16
_LOCAL = ("localhost", "127.0.0.1", "::1")
_NEEDED = ("fastapi", "uvicorn", "httptools", "python_multipart", "prometheus_client")


@dataclass(frozen=True, slots=True)
class Serving:
    """How to serve.

    host, port: where to listen; port 0 takes a free one
    token: that clients must send; "" for none, which is possible on this machine's own addresses alone
    hosts: names that requests may be addressed to, besides those of this machine
    corrections: folder that takes corrected photos; None: they are refused
    max_error: as `load` takes it
    decoders, lanes: processes that read photos, and batches answered at once; None: one for each core
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str = field(default="", repr=False)
    hosts: tuple[str, ...] = ()
    corrections: Path | None = None
    max_error: float | None = None
    decoders: int | None = None
    lanes: int | None = None


def serve(
    models: Sequence[str | os.PathLike[str]],
    *,
    options: Serving | None = None,
    limits: Limits | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve models over HTTP until SIGTERM or Ctrl-C; what was accepted is answered first.

    models: model.onnx files or run folders; the first one is the default
    told: is called with the address, once it can be asked

    Raises UsageError for a port that is taken and for a place beyond this machine without a token,
    BundleError, StorageError for a folder of corrections that cannot be used, MissingExtra.
    """
    server, address = make_server(models, options=options, limits=limits)
    server.run(lambda: told(address))


def make_server(
    models: Sequence[str | os.PathLike[str]],
    *,
    options: Serving | None = None,
    limits: Limits | None = None,
) -> tuple[Server, str]:
    """A server that listens but does not answer yet, and its address. Raises as `serve`."""
    options = options or Serving()
    _check_models(models)
    _check_exposed(options)
    _check_extra()
    from sortograph.serve.app import make_app
    from sortograph.serve.corrections import Corrections
    from sortograph.serve.decoding import Decoders
    from sortograph.serve.gate import Rules, hosts
    from sortograph.serve.limits import Limits
    from sortograph.serve.models import Shelf, sources
    from sortograph.serve.server import Server, listen
    from sortograph.serve.service import Service

    limits = limits or Limits()
    lanes = options.lanes or cores()
    shelf = Shelf(sources([Path(model) for model in models], lanes, options.max_error))
    corrections = None if options.corrections is None else Corrections(options.corrections)
    decoders = Decoders(options.decoders, min(10.0, limits.seconds), limits.pixels)
    service = Service(shelf, decoders, limits, corrections)
    is_ours = is_local(options.host)
    rules = Rules(
        options.token,
        hosts([*options.hosts, options.host.strip("[]"), *([] if is_ours else [socket.gethostname()])]),
        any_address=not is_ours,
    )
    listener = listen(options.host, options.port)
    port = listener.getsockname()[1]
    return Server(make_app(service, rules, options.max_error), service, listener), _address(
        options.host, port
    )


def read_token(file: Path) -> str:
    """The token in a file; where there is none, a new one is written there, readable by its owner alone.

    Raises UsageError for a file with something else in it, StorageError.
    """
    try:
        make_folder(file.parent)
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return check_token(_text(file), str(file), fix=f"remove {file}, then type the command again")
    except OSError as error:
        raise StorageError(f"cannot write ({error.strerror or error})", where=str(file)) from None
    token = secrets.token_urlsafe(32)
    try:
        with storage_errors(file), os.fdopen(handle, "w", encoding="ascii") as opened:
            opened.write(token + "\n")
    except BaseException:  # half a token would be in the way
        file.unlink(missing_ok=True)
        raise
    return token


def check_token(token: str, where: str, fix: str = "let one be made: --token-file FILE") -> str:
    """The token without white space around it. Raises UsageError for one that is easy to guess."""
    token = token.strip()
    if len(token) < _SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(
            "a token that will not do",
            where=where,
            expected=f"at least {_SHORTEST} printable ASCII characters without spaces",
            fix=fix,
        )
    return token


def is_local(host: str) -> bool:
    """Whether only this machine can reach an address.

    >>> is_local("127.0.0.2"), is_local("0.0.0.0"), is_local("localhost")
    (True, False, True)
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _check_models(models: Sequence[str | os.PathLike[str]]) -> None:
    if isinstance(models, str | os.PathLike):
        raise UsageError("one path where a list of models is expected", fix="serve([model])")
    if not models:
        raise UsageError("no model to serve", fix="sortograph serve model.onnx")


def _check_exposed(options: Serving) -> None:
    if not is_local(options.host) and not options.token:
        raise UsageError(
            "a place that others can reach, and no token",
            where=options.host,
            expected="a token that clients must send",
            fix=f"sortograph serve MODEL --host {options.host} --token-file FILE",
        )


def _check_extra() -> None:
    from importlib.util import find_spec

    for module in _NEEDED:
        if find_spec(module) is None:
            raise MissingExtra.of("serve", module)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise UsageError(f"a token that cannot be read ({reason})", where=str(file)) from None


def _address(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}/"
