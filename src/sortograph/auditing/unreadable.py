"""Files that are no readable photos."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sortograph.auditing.view import AuditView
from sortograph.auditing.words import are, some
from sortograph.dataset.names import shown
from sortograph.errors import counted
from sortograph.records import Finding

# Reasons that say that the bytes themselves are spoilt. Others can be mended (a link, a permission, a size),
# or may be sound photos of a kind that other programs read: a person must choose.
_NO_PHOTO = ("damaged (", "empty file")


def find(view: AuditView) -> Iterator[Finding]:
    """One finding for each kind of reason."""
    kinds: dict[str, list[tuple[str, str]]] = {}
    for rejected in view.index.rejected:
        kinds.setdefault(_kind(rejected.reason), []).append((rejected.path, rejected.reason))
    for members in kinds.values():
        paths, reason = tuple(path for path, _ in members), members[0][1]
        lost = reason.startswith(_NO_PHOTO)
        n = len(paths)
        yield Finding(
            check="unreadable",
            photos=paths,
            severity=0.4,
            message=f"{counted(n, 'file')} {are(n)} left out: {shown(reason)}: {some(paths)}",
            remedy="replace the files by good copies, or set them aside"
            if lost
            else "mend what the reason says",
            set_aside=paths if lost else (),
        )


def _kind(reason: str) -> str:
    """A reason without what differs from file to file: details in brackets, and numbers."""
    return re.sub(r"[0-9]+(?:\.[0-9]+)?", "#", reason.split(" (")[0])
