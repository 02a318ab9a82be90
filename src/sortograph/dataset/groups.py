"""Groups that the user names by a pattern of the paths: photos of one writer, house or patient."""

from __future__ import annotations

import re
from dataclasses import replace

from sortograph.dataset.names import shown
from sortograph.errors import counted
from sortograph.images.names import composed
from sortograph.records import DatasetIndex

_NOTHING = "no groups are found by"


def with_groups(index: DatasetIndex, pattern: str) -> DatasetIndex:
    """The index with groups by the first capture of `pattern` in each path; "" changes nothing.

    Paths are relative, posix, NFC; photos whose path has no match are groups of their own. How many groups
    there are is told in `notes`.

    A pattern that finds nothing is told there, too, as a recipe's own rule may be meant for other photos.
    Groups that a table has given stay as they are.
    """
    if not pattern:
        return index
    if any(index.groups):
        note = f"groups are those of the table; the pattern {pattern!r} is not used"
        return replace(index, notes=(*index.notes, note))
    found = re.compile(pattern)
    matches = [found.search(composed(path)) for path in index.paths]
    groups = tuple(match[1] or "" if match else "" for match in matches)
    return replace(index, groups=groups, notes=(*index.notes, _note(groups, pattern, index.paths)))


def no_group_note(notes: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the notes that say that a pattern found nothing."""
    return tuple(note for note in notes if note.startswith(_NOTHING))


def _note(groups: tuple[str, ...], pattern: str, paths: tuple[str, ...]) -> str:
    if not any(groups):
        return f"{_NOTHING} {pattern!r} in paths such as {shown(paths[0])}: each photo is cut by itself"
    alone = sum(not group for group in groups)
    rest = f", and {counted(alone, 'photo')} of none" if alone else ""
    names = set(groups) - {""}
    return f"{counted(len(names), 'group')} of {counted(len(groups) - alone, 'photo')} by their paths{rest}"
