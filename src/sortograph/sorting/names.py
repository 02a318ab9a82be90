"""Names that every common file system takes, so that a sorted folder can be carried anywhere.

After Microsoft's "Naming Files, Paths, and Namespaces".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import count

from sortograph.images.names import folded, is_system
from sortograph.records.sorting import UNSURE

LONGEST_FOLDER = 80
LONGEST_NAME = 255  # bytes of UTF-8, as Linux counts
LONGEST_PATH = 259  # of Windows, with the drive and without the zero at the end
_FORBIDDEN = re.compile('[\x00-\x1f\x7f-\x9f<>:"/\\\\|?*\ud800-\udfff]')
_PORTS = "123456789¹²³"
_DEVICES = frozenset(
    (
        "con",
        "prn",
        "aux",
        "nul",
        "conin$",
        "conout$",
        *(f"{port}{n}" for port in ("com", "lpt") for n in _PORTS),
    )
)


def portable(name: str, longest: int = LONGEST_FOLDER) -> str:
    """A name for one folder or file that Windows, macOS and Linux take, and that no scan takes for hidden.

    longest: in UTF-16 units, as Windows counts; 85 of them always fit the 255 bytes of Linux

    >>> [portable(name) for name in ("cat", "a/b", "nul.jpg", "..", "end. ", ".git", "12:30")]
    ['cat', 'a_b', '_nul.jpg', '_', 'end', '_.git', '12_30']
    """
    plain = _trimmed(_FORBIDDEN.sub("_", name))
    if plain.startswith(".") or is_system(plain) or _is_device(plain):
        plain = f"_{plain}"
    return cut(plain, longest) or "_"


def cut(text: str, longest: int, size: int = LONGEST_NAME) -> str:
    """The beginning of a text, up to a length in UTF-16 units and a size in bytes; no dot or blank at its
    end."""
    while units(text) > longest or size_of(text) > size:
        text = text[:-1]
    return _trimmed(text)


def size_of(text: str) -> int:
    """Bytes as Linux counts.

    >>> size_of("새")
    3
    """
    return len(text.encode("utf-8", "surrogatepass"))


def units(text: str) -> int:
    """Length as Windows counts.

    >>> units("새"), units("😀")
    (1, 2)
    """
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def class_folders(classes: Iterable[str]) -> dict[str, str]:
    """Class → name of its folder; no two are the same to any file system. "" stands for no answer.

    >>> class_folders(["Cat", "cat", "CON", "_unsure"])
    {'Cat': 'Cat', 'cat': 'cat-2', 'CON': '_CON', '_unsure': '_unsure-2', '': '_unsure'}
    """
    taken = {folded(UNSURE)}
    found = {}
    for label in classes:
        found[label] = next(name for name in spellings(portable(label)) if folded(name) not in taken)
        taken.add(folded(found[label]))
    return {**found, "": UNSURE}


def spellings(
    stem: str, longest: int = LONGEST_FOLDER, size: int = LONGEST_NAME, start: int = 1
) -> Iterator[str]:
    """The stem itself, and then others to use where it is taken; all fit.

    start: the first of them; 1 is the stem

    >>> names = spellings("abc", longest=3)
    >>> [next(names) for _ in range(3)]
    ['abc', 'a-2', 'a-3']
    """
    if start == 1:
        yield stem
    for number in count(max(start, 2)):
        tail = f"-{number}"
        yield f"{cut(stem, longest - len(tail), size - len(tail))}{tail}"


def _trimmed(name: str) -> str:
    return name.rstrip(". ")


def _is_device(name: str) -> bool:
    return name.partition(".")[0].rstrip(" ").casefold() in _DEVICES
