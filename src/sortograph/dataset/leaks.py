"""What should not be in two places: photos of several splits, and one content under several labels."""

from __future__ import annotations

from collections.abc import Iterator

from sortograph.dataset.names import shown
from sortograph.errors import counted, listed
from sortograph.records import SPLITS, DatasetIndex


def leak_notes(index: DatasetIndex) -> tuple[str, ...]:
    """One line for each pair of splits with photos of the same content, or else of the same group."""
    return tuple(_leaks(index))


def _leaks(index: DatasetIndex) -> Iterator[str]:
    for (first, second), n in index.overlaps().items():
        photos = f"{n} of {counted(len(index.rows(second)), f'{second} photo')}"
        same = "the same content" if n == _copies(index, first, second) else "the same content, or nearly"
        yield f"leak: {photos} {_are(n)} in {first}, too ({same}); scores on {second} are too good"
    for first, second, n in _shared_groups(index):
        photos = f"{n} of {counted(len(index.rows(second)), f'{second} photo')}"
        yield f"leak: {photos} {_are(n)} of a group that is in {first}, too; scores on {second} are too good"


def _copies(index: DatasetIndex, first: str, second: str) -> int:
    """How many photos of `second` have exactly the content of one of `first`."""
    known = {index.sha256[row] for row in index.rows(first)}
    return sum(index.sha256[row] in known for row in index.rows(second))


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _shared_groups(index: DatasetIndex) -> Iterator[tuple[str, str, int]]:
    """(first split, second split, photos of the second) where a group lies in both."""
    held = {split: [index.groups[row] for row in index.rows(split)] for split in SPLITS}
    for place, second in enumerate(SPLITS):
        for first in SPLITS[:place]:
            known = set(held[first]) - {""}
            if n := sum(group in known for group in held[second]):
                yield first, second, n


def label_notes(index: DatasetIndex) -> tuple[str, ...]:
    """One line for contents that have several labels."""
    rows: dict[str, list[int]] = {}
    for row, content in enumerate(index.sha256):
        rows.setdefault(content, []).append(row)
    torn = [same for same in rows.values() if len({int(index.labels[row]) for row in same}) > 1]
    if not torn:
        return ()
    named = listed((" = ".join(shown(index.paths[row]) for row in same) for same in torn), limit=3)
    return (f"{counted(len(torn), 'photo')} under several labels: {named}",)
