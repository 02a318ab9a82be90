"""The journal's place below the destination: made, held alone, and cleared away."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import datetime
from itertools import chain, count
from pathlib import Path

from sortograph.errors import DataError, Interrupted, StorageError, command
from sortograph.files import is_in, storage_errors, sync_folder
from sortograph.moving.journal import alone
from sortograph.records.sorting import SortPlan
from sortograph.sorting.places import HOME
from sortograph.sorting.trail import FOLDER, TOP, Trail

_LOCK = "sort"
_FORM = "sort-*.jsonl"


@contextlib.contextmanager
def new_trail(plan: SortPlan, now: datetime | None = None) -> Iterator[Trail]:
    """A journal of its own for a plan, held alone, with nothing of the plan in it yet.

    Raises StorageError when it cannot be made, DataError while another process sorts into the destination.
    """
    destination = plan.destination
    made = [folder for folder in (TOP, HOME) if _make(destination / folder)]
    with alone(destination / HOME / _LOCK):
        path = _new_file(destination / HOME, now or datetime.now())
        with _told(path), _opened(Trail(path)) as trail:
            trail.open()
            trail.begin(plan)
            for folder in made:
                trail.record(FOLDER, path=folder)
            yield trail


@contextlib.contextmanager
def old_trail(journal: Path) -> Iterator[Trail]:
    """The journal of an earlier sort, held alone, ready for more. Raises DataError, StorageError."""
    path = _found(journal)
    head = Trail(path).head
    if head is not None and (is_in(head.source, head.destination) or is_in(head.destination, head.source)):
        raise DataError(
            "the folder that the photos came from and the sorted one are one by now, or lie in each other",
            where=f"{head.source} and {head.destination}",
            expected="two folders apart from each other, as they were when the photos were sorted",
            fix="move the sorted folder elsewhere, and undo by the journal in it",
        )
    if head is not None and head.written.is_dir() and not head.written.samefile(head.destination):
        raise DataError(
            "this journal tells of another folder, which is still there",
            where=str(path),
            expected=f"the journal in {head.written / HOME}",
            fix=back(head.written / HOME / path.name),
        )
    with alone(path.parent / _LOCK), _told(path), _opened(Trail(path)) as trail:
        trail.open()
        yield trail


def _found(journal: Path) -> Path:
    """Raises DataError unless there is such a journal."""
    named = journal.match(_FORM) and journal.absolute().parent.name == HOME
    if named and os.path.isfile(journal):  # noqa: PTH113, Path.is_file raises for names that are too long
        return journal.resolve()
    what = "no journal of a sort" if os.path.lexists(journal) else "no such journal"
    raise DataError(what, where=str(journal), expected=f"DEST/{HOME}/{_FORM}")


def journals(destination: Path) -> list[Path]:
    """Those of all sorts into a folder that were not undone, the oldest first."""
    files = [path for path in (destination / HOME).glob(_FORM) if path.is_file()]
    return sorted(files, key=lambda path: (path.stat().st_mtime_ns, path.name))


def sweep(destination: Path, made: bool) -> None:
    """Remove the folder of journals when it is empty, and then the destination, if a sort had made it."""
    with contextlib.suppress(OSError):
        (destination / HOME).rmdir()
        if made:
            destination.rmdir()


def on(journal: Path) -> str:
    return command("sortograph", "sort", "--resume", journal)


def back(journal: Path) -> str:
    return command("sortograph", "undo", journal)


@contextlib.contextmanager
def _opened(trail: Trail) -> Iterator[Trail]:
    try:
        yield trail
    finally:
        trail.close()


@contextlib.contextmanager
def _told(journal: Path) -> Iterator[None]:
    """What stops the work names the journal, and both ways out."""
    ways = f"{on(journal)}  (or back: {back(journal)})"
    try:
        yield
    except StorageError as error:
        raise StorageError(
            error.what, where=error.where, expected=error.expected, fix=f"mend that, and go on: {ways}"
        ) from error
    except KeyboardInterrupt:
        raise Interrupted("stopped; nothing is lost", fix=ways) from None


def _make(folder: Path) -> bool:
    """Whether it was not there before. Raises StorageError."""
    with storage_errors(folder):
        try:
            folder.mkdir()
        except FileExistsError:
            if not folder.is_dir():
                raise
            return False
        sync_folder(folder.parent)
        return True


def _new_file(home: Path, now: datetime) -> Path:
    stem = f"sort-{now:%Y%m%d-%H%M%S}"
    for name in chain([stem], (f"{stem}-{number}" for number in count(2))):
        path = home / f"{name}.jsonl"
        with storage_errors(path), contextlib.suppress(FileExistsError):
            path.touch(exist_ok=False)
            sync_folder(home)
            return path
    raise AssertionError("counting never ends")
