"""What a person should hear of their photos before anything is done with them."""

from __future__ import annotations

from sortograph.dataset import leak_notes
from sortograph.errors import counted
from sortograph.records import DatasetIndex, Progress, Said

_NAMED = 3


def tell_notes(index: DatasetIndex, progress: Progress) -> None:
    """The notes of the index; leaks between its splits as warnings."""
    leaks = leak_notes(index)
    for note in index.notes:
        progress(Said(note, warning=note in leaks))


def tell_rejected(index: DatasetIndex, progress: Progress) -> None:
    """How many photos are left out, and why the first of them; nothing where none is."""
    if not index.rejected:
        return
    count = len(index.rejected)
    first = "; ".join(f"{bad.path} ({bad.reason})" for bad in index.rejected[:_NAMED])
    more = f"; and {count - _NAMED} more" if count > _NAMED else ""
    are = "is" if count == 1 else "are"
    progress(Said(f"{counted(count, 'unreadable photo')} {are} left out: {first}{more}", warning=True))
