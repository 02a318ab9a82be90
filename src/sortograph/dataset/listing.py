"""What a layout finds, before any photo is opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
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
    """All entries of one root, and what was left out of it."""

    entries: tuple[Entry, ...]
    ignored: int = 0
    notes: tuple[str, ...] = ()

    def labels(self) -> Counter[str]:
        return Counter(entry.label for entry in self.entries)


def links_note(links: Iterable[str]) -> tuple[str, ...]:
    count = len(tuple(links))
    return (f"not followed: {counted(count, 'linked folder')}",) if count else ()
