"""File names: their order, their spelling, and which are not meant for us."""

from __future__ import annotations

import re
import unicodedata

_SYSTEM = frozenset(
    ("thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "system volume information")
)

NaturalKey = str

# Keys are compared character by character: the end of a name, then a slash, then a number, then text.
_END, _SLASH, _NUMBER, _TEXT = "\0", "\1", "\2", "\3"
_ENCODED = re.compile(r"[0-9]+|[\0-\2]")
_LONGEST = 0x10FFFF - ord("0")


def natural_key(name: str) -> NaturalKey:
    """Sort key for names and posix paths: 2 comes before 10, upper case beside lower case, NFC and NFD
    alike, and what lies in a folder before the names that only start like it.

    Different names have different keys, so that an order never hangs on the order before.

    >>> sorted(["b10", "B2", "a1", "a/9", "a/10", "a b"], key=natural_key)
    ['a/9', 'a/10', 'a1', 'a b', 'B2', 'b10']
    """
    plain = name.lower() if name.isascii() else folded(name)
    return f"{_ENCODED.sub(_encoded, plain).replace('/', _SLASH)}{_END}{name}"


def _encoded(found: re.Match[str]) -> str:
    """A number as its length, in one character above the slash, and its digits; other marks as text."""
    bare = found[0].lstrip("0")
    if bare in (_END, _SLASH, _NUMBER):
        return _TEXT
    return f"{_NUMBER}{chr(ord('0') + min(len(bare), _LONGEST))}{bare}"


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
