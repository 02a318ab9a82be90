"""What a layout finds, before any photo is opened."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sortograph.errors import counted


@dataclass(frozen=True, slots=True)
class Entry:
    """One photo file with its class, split and group; `problem` says why it is not even opened."""

    path: str
    label: str
    split: str = ""
    group: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """All entries of one root, and what was left out of it.

    empty  names of class folders without photos
    links  number of linked folders, which are not followed
    """

    entries: tuple[Entry, ...]
    ignored: int = 0
    notes: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    links: int = 0

    def labels(self) -> Counter[str]:
        return Counter(entry.label for entry in self.entries)


def links_note(links: int) -> tuple[str, ...]:
    """
    >>> links_note(2)
    ('not followed: 2 linked folders',)
    """
    return (f"not followed: {counted(links, 'linked folder')}",) if links else ()
