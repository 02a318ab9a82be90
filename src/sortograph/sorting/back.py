"""A sort taken back: every file as it was before, and nothing touched that was changed or moved since."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sortograph.errors import DataError, PhotoError
from sortograph.files import sync_folder
from sortograph.moving.keeping import as_it_was, storage_of
from sortograph.moving.transfer import (
    check_photo,
    drop_half,
    holds,
    is_alias,
    is_blocked,
    is_one,
    is_same_state,
    is_twice,
    leads_to,
    put_new,
    remove,
    settle,
    take_away,
)
from sortograph.records import Progress, Rejected, Step, silent
from sortograph.records.sorting import Undone
from sortograph.sorting.carry import BATCH
from sortograph.sorting.desk import journals, old_trail, sweep
from sortograph.sorting.places import HOME
from sortograph.sorting.trail import DOING, DONE, REMOVED, TOP, UNDOING, UNDONE, Trail

_TAKEN = "something else is at its old place by now; it stays in the destination"
_GONE = "it is gone from the destination, or was moved"
_CHANGED = "it was changed since; it stays in the destination"
_LAST = "its original is gone or was changed, so that this may be the last one; it stays"


def undo(journal: Path, *, progress: Progress = silent) -> Undone:
    """Bring both folders to what they were before the sort; the journal goes with the last of its traces.

    Files that people have changed or moved since, and copies whose original is gone, are left alone and told;
    the journal stays for them. Folders that the sort made are removed where they are empty. A call that was
    stopped is gone on with by the next one. Raises DataError when there is no such journal or it is damaged,
    StorageError and Interrupted as `apply` does.
    """
    with old_trail(journal) as trail:
        taker = _Taker(trail)
        taker.take_back(progress)
        _remove_folders(trail)
        made = not taker.left and _forget(trail)
    sweep(trail.path.parent.parent, made)
    kept = trail.path if os.path.lexists(trail.path) else None
    return Undone(tuple(taker.undone), tuple(taker.left), kept)


def _forget(trail: Trail) -> bool:
    """Remove the journal of a sort that is taken back; whether sorts had made the destination.

    Where later sorts have put photos into folders that this one has made, the journal stays until they are
    taken back, too: it knows of whom the folders are.
    """
    others = {path: _husk(path) for path in journals(trail.path.parent.parent) if path != trail.path}
    husks = [trail, *(husk for husk in others.values() if husk is not None)]
    live = len(husks) <= len(others)
    for husk in husks:
        if husk is not trail:
            husk.open()
        _remove_folders(husk)
        husk.close()
        if not live or not husk.folders:
            with storage_of(husk.path):
                husk.path.unlink()
    return any(TOP in husk.folders for husk in husks)


def _husk(path: Path) -> Trail | None:
    """The journal, if its sort was taken back."""
    try:
        trail = Trail(path)
    except DataError:  # it may be of any sort
        return None
    return trail if UNDONE in trail.states and not trail.under_way() else None


def _remove_folders(trail: Trail) -> None:
    """Those that the sort made and that are empty, the innermost first."""
    for folder in reversed([folder for folder in trail.folders if folder not in (TOP, HOME)]):
        with contextlib.suppress(OSError):
            (trail.known.destination / folder).rmdir()
            trail.record(REMOVED, path=folder)


@dataclass(frozen=True, slots=True)
class _Act:
    """One file that is about to go; `facts` say how it is in the destination."""

    number: int
    facts: os.stat_result


class _Taker:
    """Takes files back. `undone` are paths below the source, `left` names what was left alone."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self.undone: list[str] = []
        self.left: list[Rejected] = []

    def take_back(self, progress: Progress) -> None:
        """Raises StorageError."""
        numbers = self._trail.under_way()
        for start in range(0, len(numbers), BATCH):
            batch = numbers[start : start + BATCH]
            acts = [act for n in batch if (act := self._checked(n)) is not None]
            for act in acts:
                self._trail.record(UNDOING, file=act.number)
            self._trail.sync()
            self._move(acts) if self._trail.known.way == "move" else self._remove(acts)
            progress(Step("undoing", start + len(batch), len(numbers), "files"))

    def _checked(self, n: int) -> _Act | None:
        """What is to be done for a file; None where that is nothing, or where it is left alone."""
        check = {"move": self._of_move, "symlink": self._of_symlink}.get(self._trail.known.way, self._of_copy)
        with self._leaving(n), storage_of(self._ends(n)[1]):
            if check(n):
                return _Act(n, self._ends(n)[1].lstat())
            self._trail.record(UNDONE, file=n)
        return None

    def _of_move(self, n: int) -> bool:
        """Whether the file is to be moved back. Raises PhotoError to leave it alone."""
        file, state = self._trail.files[n], self._trail.states[n]
        source, target = self._ends(n)
        drop_half(source)
        drop_half(target)
        here, there = os.path.lexists(source), os.path.lexists(target)
        if here and there:
            if is_one(source, target) or (state != DONE and is_twice(source, target, file.sha256)):
                settle(target, source, file.sha256)
                self._returned(n)
            elif state != DOING or not holds(source, file.sha256):
                raise PhotoError(_TAKEN)
            return False
        if here:
            return self._is_back(n, holds(source, file.sha256))
        if not there:
            raise PhotoError(_GONE)
        self._check(n)
        if is_blocked(self._trail.known.source, file.path):
            raise PhotoError("its old folder is a link by now, or a file; it stays in the destination")
        return True

    def _is_back(self, n: int, same: bool) -> bool:
        """A file that is at its old place alone: it never went, or it came back. Raises PhotoError."""
        state = self._trail.states[n]
        if state == DONE and not same:
            raise PhotoError(_GONE)
        if same and state != DOING:
            self._returned(n)
        return False

    def _of_copy(self, n: int) -> bool:
        file, begun = self._trail.files[n], self._trail.states[n] == DOING
        source, target = self._ends(n)
        drop_half(target)
        if not os.path.lexists(target):
            return self._is_gone(n)
        if is_one(source, target):
            return True
        if begun and not holds(target, file.sha256):
            return False  # it came to nothing, and something else is there
        self._check(n)
        if is_alias(source, target) or not holds(source, file.sha256):
            raise PhotoError(_LAST)
        return True

    def _of_symlink(self, n: int) -> bool:
        source, target = self._ends(n)
        if not os.path.lexists(target):
            return self._is_gone(n)
        if leads_to(target, source):
            return True
        if self._trail.states[n] == DOING:
            return False
        raise PhotoError(_CHANGED)

    def _is_gone(self, n: int) -> bool:
        if self._trail.states[n] == DONE:
            raise PhotoError(_GONE)
        return False

    def _check(self, n: int) -> None:
        """Raises PhotoError unless the file is in the destination as the sort has put it there."""
        target = self._trail.targets[n]
        check_photo(self._trail.known.destination, target)
        if not holds(self._trail.known.destination / target, self._trail.files[n].sha256):
            raise PhotoError(_CHANGED)

    def _move(self, acts: list[_Act]) -> None:
        put = []
        for act in acts:
            source, target = self._ends(act.number)
            with self._leaving(act.number), storage_of(source):
                source.parent.mkdir(parents=True, exist_ok=True)
                try:
                    facts = put_new(target, source, self._trail.files[act.number].sha256)
                except FileExistsError:
                    raise PhotoError(_TAKEN) from None
                put.append((act.number, None if facts is None else act.facts))
        _sync(self._ends(n)[0].parent for n, _ in put)
        for n, facts in put:
            source, target = self._ends(n)
            with self._leaving(n), storage_of(target):
                take_away(target, source, facts)
                self._returned(n)
                self._trail.record(UNDONE, file=n)
        _sync(self._ends(n)[1].parent for n, _ in put)

    def _remove(self, acts: list[_Act]) -> None:
        for act in acts:
            target = self._ends(act.number)[1]
            with self._leaving(act.number), storage_of(target):
                if not is_same_state(target.lstat(), act.facts):
                    raise PhotoError(_CHANGED)
                remove(target)
                self.undone.append(self._trail.files[act.number].path)
                self._trail.record(UNDONE, file=act.number)
        _sync(self._ends(act.number)[1].parent for act in acts)

    def _returned(self, n: int) -> None:
        file = self._trail.files[n]
        as_it_was(self._ends(n)[0], file.mtime_ns, file.mode)
        self.undone.append(file.path)

    @contextlib.contextmanager
    def _leaving(self, n: int) -> Iterator[None]:
        try:
            yield
        except PhotoError as error:
            self.left.append(Rejected(self._trail.targets[n], error.what))

    def _ends(self, n: int) -> tuple[Path, Path]:
        head = self._trail.known
        return head.source / self._trail.files[n].path, head.destination / self._trail.targets[n]


def _sync(folders: Iterable[Path]) -> None:
    for folder in dict.fromkeys(folders):
        sync_folder(folder)
