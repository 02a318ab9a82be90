"""Many photos that look alike, too many of them to be copies of each other."""

from __future__ import annotations

from collections.abc import Iterator

from sortograph.auditing.view import AuditView
from sortograph.auditing.words import percent, some
from sortograph.dataset.names import shown
from sortograph.records import Finding


def find(view: AuditView) -> Iterator[Finding]:
    for group in view.large:
        yield Finding(
            check="look-alikes",
            photos=group.paths,
            severity=0.15,
            message=f"{len(group.paths)} photos of '{shown(group.class_name)}' ({percent(group.share)} of "
            f"it) look almost alike: {some(group.paths)}",
            remedy="look at some: sheets of paper are fine; shots of one thing need a group (--group-from), "
            "so that no split divides them",
        )
