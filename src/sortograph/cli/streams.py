"""Standard output for results, standard error for everything else."""

from __future__ import annotations

import codecs
import json
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from sortograph.errors import StorageError

# Control characters could move the cursor or recolour the terminal, bidirectional marks reorder a line,
# surrogates stand for bytes of a file name that are no text.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def prepare() -> None:
    """Make both streams take any text: consoles that lack a character get its escape."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us; print would turn to the other stream
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def out(text: str = "") -> None:
    """One result on stdout. Raises StorageError where it cannot be written, BrokenPipeError unread."""
    with written():
        print(text, flush=True)


def note(text: str) -> None:
    """One line for the person on stderr. Where it cannot be written the work goes on without it."""
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115


def out_json(data: Any) -> None:
    """One line of JSON on stdout; numbers that JSON lacks (NaN, infinity) are null."""
    out(json_text(data, escape=not _is_utf8(sys.stdout)))


def json_text(data: Any, *, escape: bool = False) -> str:
    """
    >>> json_text({"a": float("nan"), "새": 1}), json_text("새", escape=True)
    ('{"a": null, "새": 1}', '"\\\\uc0c8"')
    """
    text = json.dumps(_finite(data), ensure_ascii=escape, allow_nan=False)
    # Only inside of strings, where JSON's own escapes say the same.
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def safe(text: str, keep: str = "") -> str:
    """Text that a terminal shows as it is, without obeying it; characters in `keep` stay.

    >>> safe("a\\x1b[31m.jpg")
    'a\\\\x1b[31m.jpg'
    """
    return _UNSAFE.sub(lambda found: _shown(found[0], keep), text)


def draws(stream: TextIO) -> bool:
    """Whether a person looks at it: tables and bars may be drawn."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def finish() -> None:
    """Write what is left, while errors can still be told."""
    with written():
        sys.stdout.flush()


def abandon() -> None:
    """Nobody reads stdout any more: let the interpreter end without a word on it."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # not a real file
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115


@contextmanager
def written() -> Iterator[None]:
    """Turns what goes wrong on stdout into a StorageError; BrokenPipeError passes."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        abandon()
        raise StorageError(
            f"cannot write ({error.strerror or error})", where="standard output", expected="free space"
        ) from error


def _is_utf8(stream: TextIO) -> bool:
    return codecs.lookup(stream.encoding or "ascii").name == "utf-8"


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return data


def _shown(character: str, keep: str) -> str:
    return character if character in keep else character.encode("unicode_escape").decode()
