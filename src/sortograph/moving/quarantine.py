"""A plan carried out, and taken back. The journal beside the plan has every step before it is taken, so that
after a stop at any moment `apply` goes on and `undo` restores."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sortograph.errors import PhotoError, StorageError
from sortograph.files import sync_folder
from sortograph.moving import trail as acts
from sortograph.moving.journal import alone
from sortograph.moving.keeping import as_it_was, storage_of
from sortograph.moving.plan import Plan, Planned, check_root, journal_of, read_plan
from sortograph.moving.trail import Passage, Trail
from sortograph.moving.transfer import (
    check_photo,
    fingerprint,
    holds,
    is_blocked,
    is_twice,
    move_new,
    numbered,
    settle,
)
from sortograph.records import Progress, Rejected, Step, silent

_TAKEN = "something else is at its old place by now; it stays in quarantine"


@dataclass(frozen=True, slots=True)
class Moved:
    """What one call did, or would do.

    moved    paths below the photos' folder that were moved to quarantine, or back by an undo
    skipped  photos that were left where they are, and why
    journal  where every step is written down
    to       the quarantine folder
    """

    moved: tuple[str, ...]
    skipped: tuple[Rejected, ...]
    journal: Path
    to: Path

    def to_json(self) -> dict[str, Any]:
        return {
            "moved": list(self.moved),
            "skipped": [{"path": photo.path, "reason": photo.reason} for photo in self.skipped],
            "journal": self.journal.as_posix(),
            "to": self.to.as_posix(),
        }


def apply(file: Path, *, dry_run: bool = False, progress: Progress = silent) -> Moved:
    """Move the photos of a plan to its quarantine folder; go on where an earlier call was stopped.

    Left alone and told are photos that are gone, changed, or links. Raises DataError when the plan, its
    journal or the folder cannot be used or another process works on the plan, StorageError when a place
    cannot be written: what was moved until then is in the journal.
    """
    with _work(file, "apply", dry_run) as work:
        ways = [(photo.path, partial(work.out, photo)) for photo in work.plan.photos]
        return _done(work, ways, "moving photos to quarantine", progress)


def undo(file: Path, *, dry_run: bool = False, progress: Progress = silent) -> Moved:
    """Move back all that `apply` has moved, and remove the folders that it made in quarantine, where empty.

    Photos whose old place is taken by now stay in quarantine, and so do those that were changed there.
    Raises as `apply` does.
    """
    with _work(file, "undo", dry_run) as work:
        ways = [(passage.path, partial(work.back, passage)) for passage in work.trail.under_way()]
        moved = _done(work, ways, "moving photos back", progress)
        work.clear()
        return moved


class _Work:
    """One call: the plan, what was done before, and the steps for one photo each.

    A step returns whether the photo was moved; it raises PhotoError to leave it alone.
    """

    def __init__(self, plan: Plan, trail: Trail, dry: bool) -> None:
        self.plan, self.trail, self._dry = plan, trail, dry

    def out(self, photo: Planned) -> bool:
        passage = self.trail.passages.get(photo.path)
        if passage is not None and passage.state == acts.MOVED:
            source, target = self._ends(passage)
            if not os.path.lexists(source):
                return False
            if os.path.lexists(target):
                raise PhotoError("a photo of this name was moved before, and one is there again")
        elif passage is not None and passage.state != acts.RESTORED and self._resumed(passage):
            return True
        _check(self.plan.root, photo.path, photo.sha256, photo.size)
        if is_blocked(self.plan.to, photo.path):
            raise PhotoError("its folder in quarantine is a link, or a file")
        if not self._dry:
            self._move(photo)
        return True

    def back(self, passage: Passage) -> bool:
        source, target = self._ends(passage)
        if os.path.lexists(source):
            gone, begun = not os.path.lexists(target), passage.state != acts.MOVED
            back = holds(source, passage.sha256) if gone else is_twice(source, target, passage.sha256)
            if (gone and (begun or back)) or (begun and back):
                return self._withdrawn(passage)
            raise PhotoError("it is gone from quarantine" if gone else _TAKEN)
        _check(self.plan.to, passage.target, passage.sha256)
        if is_blocked(self.plan.root, passage.path):
            raise PhotoError("its old folder is a link by now, or a file; it stays in quarantine")
        if not self._dry:
            self._return(passage)
        return True

    def clear(self) -> None:
        """Remove the folders that we made and that are empty, the innermost first."""
        if self._dry:
            return
        for folder in reversed(tuple(self.trail.folders)):
            with contextlib.suppress(OSError):
                (self.plan.to / folder).rmdir()
                self.trail.record(acts.REMOVED, path=folder)

    def _ends(self, passage: Passage) -> tuple[Path, Path]:
        return self.plan.root / passage.path, self.plan.to / passage.target

    def _resumed(self, passage: Passage) -> bool:
        """Whether a move that was interrupted is finished now, or would be."""
        source, target = self._ends(passage)
        if self._dry:
            alone_there = not os.path.lexists(source) and holds(target, passage.sha256)
            return alone_there or is_twice(source, target, passage.sha256)
        with storage_of(target):
            if os.path.lexists(source) and not holds(source, passage.sha256):
                settle(target, source, passage.sha256)  # changed meanwhile: it is not to be moved
                return False
            if not settle(source, target, passage.sha256):
                return False
        self.trail.record(acts.MOVED, path=passage.path)
        return True

    def _withdrawn(self, passage: Passage) -> bool:
        """Finish the way back of a photo that is at its old place; whether it has left that before."""
        source, target = self._ends(passage)
        was_out = passage.state == acts.RETURNING or os.path.lexists(target)
        if not self._dry:
            with storage_of(source):
                if settle(target, source, passage.sha256):
                    as_it_was(source, passage.mtime_ns, passage.mode)
            self.trail.record(acts.RESTORED, path=passage.path)
        return was_out

    def _move(self, photo: Planned) -> None:
        source = self.plan.root / photo.path
        facts = source.lstat()
        for name in numbered(photo.path):
            target = self.plan.to / name
            if os.path.lexists(target):
                continue
            with storage_of(target):
                self._make_folders(name)
                self.trail.record(
                    acts.MOVING,
                    durable=True,
                    path=photo.path,
                    target=name,
                    sha256=photo.sha256,
                    mtime_ns=facts.st_mtime_ns,
                    mode=stat.S_IMODE(facts.st_mode),
                )
                with contextlib.suppress(FileExistsError):  # taken since we looked: the next name
                    move_new(source, target, photo.sha256)
                    self.trail.record(acts.MOVED, path=photo.path)
                    return

    def _make_folders(self, name: str) -> None:
        parts = name.split("/")[:-1]
        for folder in (acts.TOP, *("/".join(parts[: n + 1]) for n in range(len(parts)))):
            place = self.plan.to / folder
            if not os.path.isdir(place):  # noqa: PTH112, Path.is_dir raises for names that are too long
                self.trail.record(acts.FOLDER, path=folder)
                place.mkdir()
                sync_folder(place.parent)

    def _return(self, passage: Passage) -> None:
        source, target = self._ends(passage)
        with storage_of(source):
            source.parent.mkdir(parents=True, exist_ok=True)
            self.trail.record(acts.RETURNING, durable=True, path=passage.path)
            try:
                move_new(target, source, passage.sha256)
            except FileExistsError:
                raise PhotoError(_TAKEN) from None
            as_it_was(source, passage.mtime_ns, passage.mode)
        self.trail.record(acts.RESTORED, path=passage.path)


@contextlib.contextmanager
def _work(file: Path, verb: str, dry: bool) -> Iterator[_Work]:
    """Alone with the plan and its journal; a dry run only reads both."""
    with contextlib.nullcontext() if dry else alone(file.resolve()):
        plan = read_plan(file)
        check_root(plan.root)
        trail = Trail(journal_of(file), plan.id)
        try:
            if not dry and (verb == "apply" or trail.under_way() or trail.folders):
                trail.open()
            yield _Work(plan, trail, dry)
        except StorageError as error:
            raise StorageError(
                error.what,
                where=error.where,
                expected=error.expected,
                fix=f"mend that, and go on: sortograph quarantine {verb} PLAN (what was moved: {trail.path})",
            ) from error
        finally:
            trail.close()


def _done(
    work: _Work, ways: Iterable[tuple[str, Callable[[], bool]]], task: str, progress: Progress
) -> Moved:
    moved, skipped, ways = [], [], list(ways)
    for done, (path, step) in enumerate(ways, 1):
        try:
            if step():
                moved.append(path)
        except PhotoError as error:
            skipped.append(Rejected(path, error.what))
        progress(Step(task, done, len(ways)))
    return Moved(tuple(moved), tuple(skipped), work.trail.path, work.plan.to)


def _check(root: Path, path: str, sha256: str, size: int | None = None) -> None:
    """Raises PhotoError unless a file of this content is there itself."""
    check_photo(root, path)
    file = root / path
    if (size is not None and file.lstat().st_size != size) or fingerprint(file)[0] != sha256:
        raise PhotoError("its content has changed")
