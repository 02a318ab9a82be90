"""Every error that sortograph raises on purpose.

SortographError                what was found, where, what was expected, the next command
├── UsageError            (2)  the command or the arguments are wrong
│   └── RecipeError       (2)  a recipe has unknown keys or values out of range, or cannot fit its input
├── DataError             (3)  the photos, folders or tables that were given cannot be used
│   └── PhotoError        (3)  one photo cannot be read
├── BundleError           (3)  a model.onnx is damaged, unsafe, or not ours
├── WeightsError          (3)  weights of a backbone are not at hand, damaged, or of another network
├── RunError              (3)  a run folder is locked, damaged or does not fit the data
├── StorageError          (3)  a place cannot be written: read-only, full, over a limit
├── GateError             (4)  a check on the result failed: export parity, exploding loss
├── MissingExtra          (5)  an optional dependency is not installed
└── Interrupted         (130)  stopped by the user; resumable

The number is the exit code of the command line.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import PurePath
from typing import ClassVar, Literal, get_args

# Why a photo cannot be read, for programs. Stable: `serve` sends them, and its page has words for each.
PhotoCode = Literal[
    "empty", "not-an-image", "unsupported", "damaged", "truncated", "too-large", "slow", "crashed"
]
PHOTO_CODES: tuple[PhotoCode, ...] = get_args(PhotoCode)


class SortographError(Exception):
    """Root of the tree: one message that says what, where, what was expected and what to type next.

    >>> print(DataError("no photos", where="empty/", expected="a folder of class folders",
    ...                 fix="sortograph index PHOTOS"))
    no photos: empty/
      expected: a folder of class folders
      next: sortograph index PHOTOS
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", expected: str = "", fix: str = "") -> None:
        self.what, self.where, self.expected, self.fix = what, where, expected, fix
        lines = [f"{what}: {where}" if where else what]
        if expected:
            lines.append(f"  expected: {expected}")
        if fix:
            lines.append(f"  next: {fix}")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions with keyword-only arguments do not survive a trip between processes otherwise.
        return _rebuild, (type(self), self.what, self.where, self.expected, self.fix)


def _rebuild(kind: type[SortographError], what: str, where: str, expected: str, fix: str) -> SortographError:
    return kind(what, where=where, expected=expected, fix=fix)


class UsageError(SortographError):
    """The command or its arguments are wrong."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe is wrong; the message lists every mistake at once."""


class DataError(SortographError):
    """The photos, folders or tables cannot be used as given."""

    exit_code = 3


class PhotoError(DataError):
    """One photo cannot be read; `what` is the reason in words, `code` its kind, of `PHOTO_CODES`.

    >>> PhotoError("empty file", code="empty").code
    'empty'
    """

    def __init__(
        self, what: str, *, code: PhotoCode = "damaged", where: str = "", expected: str = "", fix: str = ""
    ) -> None:
        super().__init__(what, where=where, expected=expected, fix=fix)
        self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_photo_error, (self.what, self.code, self.where, self.expected, self.fix)


def _rebuild_photo_error(what: str, code: PhotoCode, where: str, expected: str, fix: str) -> PhotoError:
    return PhotoError(what, code=code, where=where, expected=expected, fix=fix)


class BundleError(SortographError):
    """A model.onnx is damaged, unsafe, made by a newer version, or not a sortograph bundle."""

    exit_code = 3


class WeightsError(SortographError):
    """Weights of a backbone are not at hand, damaged, or of another network."""

    exit_code = 3


class RunError(SortographError):
    """A run folder is locked, damaged, or belongs to other data."""

    exit_code = 3


class StorageError(SortographError):
    """A file or folder cannot be written."""

    exit_code = 3


class GateError(SortographError):
    """The result did not pass a check that guards it."""

    exit_code = 4


class MissingExtra(SortographError):
    """An optional part is not installed.

    >>> print(MissingExtra.of("train", "torch"))
    this command needs torch, which is not installed
      next: pip install "sortograph[train]"
    """

    exit_code = 5

    @classmethod
    def of(cls, extra: str, module: str) -> MissingExtra:
        return cls(
            f"this command needs {module}, which is not installed", fix=f'pip install "sortograph[{extra}]"'
        )


class Interrupted(SortographError):
    """The user stopped the work; what was done so far is kept."""

    exit_code = 130


def counted(number: int, thing: str, things: str = "") -> str:
    """
    >>> counted(1, "photo"), counted(2, "photo"), counted(2, "class", "classes")
    ('1 photo', '2 photos', '2 classes')
    """
    return f"{number} {thing}" if number == 1 else f"{number} {things or f'{thing}s'}"


def listed(items: Iterable[str], limit: int = 10, between: str = ", ") -> str:
    """The first `limit` items in one line, and how many more there are.

    >>> listed(["a", "b", "c"], limit=2), listed(["a", "b"]), listed(["a", "b"], 1, "; ")
    ('a, b and 1 more', 'a, b', 'a; and 1 more')
    """
    every = list(items)
    text, more = between.join(every[:limit]), len(every) - limit
    return f"{text}{between.strip(',')}and {more} more" if more > 0 else text


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` when a known name is close, else an empty string.

    >>> nearest("epoch", ["epochs", "seed"])
    " (did you mean 'epochs'?)"
    """
    import difflib  # only for those who made a mistake

    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean {match[0]!r}?)" if match else ""


def command(*words: object) -> str:
    """What to type, quoted for the shell of this system.

    >>> from pathlib import Path
    >>> command("sortograph", "train", Path("-photos"))
    'sortograph train ./-photos'
    """
    texts = [_word(word) for word in words]
    if sys.platform == "win32":
        import subprocess

        return subprocess.list2cmdline(texts)
    import shlex

    return shlex.join(texts)


def _word(word: object) -> str:
    # Of all words only paths come from outside; none may be taken for an option.
    dash = isinstance(word, PurePath) and str(word).startswith("-")
    return f"./{word}" if dash else str(word)
