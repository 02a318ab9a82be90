"""File names: their order, their spelling, and which are not meant for us."""

from __future__ import annotations

import re
import unicodedata

_DIGITS = re.compile(r"([0-9]+)")
_SYSTEM = frozenset(
    ("thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "system volume information")
)

NaturalKey = tuple[tuple[str | tuple[int, str], ...], str]


def natural_key(name: str) -> NaturalKey:
    """Sort key for names and posix paths: 2 comes before 10, upper case beside lower case, NFC and NFD
    alike, and what lies in a folder before the names that only start like it.

    >>> sorted(["b10", "B2", "a/9", "a/10", "a b"], key=natural_key)
    ['a/9', 'a/10', 'a b', 'B2', 'b10']
    """
    parts = _DIGITS.split(folded(name).replace("/", "\0"))
    # Text and numbers alternate, so that equal positions always hold the same kind.
    return tuple(_number(part) if i % 2 else part for i, part in enumerate(parts)), name


def _number(digits: str) -> tuple[int, str]:
    # Length and text order numbers of any size; int() refuses more than 4,300 digits.
    bare = digits.lstrip("0")
    return len(bare), bare


def composed(name: str) -> str:
    """NFC: one spelling for names that look the same, such as Hangul written by macOS and by Windows."""
    return unicodedata.normalize("NFC", name)


def decomposed(name: str) -> str:
    """NFD: the spelling of file names that macOS prefers."""
    return unicodedata.normalize("NFD", name)


def folded(name: str) -> str:
    """One spelling for names that differ only by case or by how Unicode composes them."""
    return composed(composed(name).casefold())


def is_system(name: str) -> bool:
    """Hidden files and what operating systems and cloud folders leave behind."""
    return name.startswith(".") or name.casefold() in _SYSTEM
