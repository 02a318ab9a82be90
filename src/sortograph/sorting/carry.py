"""A plan carried out, up to 64 files at a time: announced in the journal, put in place, and only then taken
away from where they were. After a stop at any moment the journal and the files together say how to go on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from sortograph.errors import DataError, PhotoError, StorageError
from sortograph.files import sync_folder
from sortograph.images.names import folded
from sortograph.moving.keeping import storage_of
from sortograph.moving.transfer import (
    check_photo,
    copy_new,
    fingerprint,
    is_blocked,
    is_same_state,
    move_new,
    put_new,
    remove,
    take_away,
)
from sortograph.records import Progress, Rejected, Step, silent
from sortograph.records.sorting import Sorted, SortFile, SortPlan
from sortograph.sorting.companions import tail_of
from sortograph.sorting.desk import back, new_trail, old_trail
from sortograph.sorting.names import LONGEST_NAME, size_of, spellings, units
from sortograph.sorting.places import check_ends, check_room
from sortograph.sorting.stopped import is_finished
from sortograph.sorting.trail import DOING, DONE, FOLDER, LEFT, UNDOING, Trail

BATCH = 64
_SHORTEST = 8


def apply(plan: SortPlan, *, progress: Progress = silent) -> Sorted:
    """Carry out a plan as it stands. Photos that were changed or taken away since it was made are left and
    told.

    Raises UsageError and StorageError before the first act where it cannot be done; afterwards StorageError
    or Interrupted, which name the journal, and how to go on or back. Nothing is lost then.
    """
    check_ends(plan.source, plan.destination)
    check_room(plan.source, plan.destination, plan.way, plan.files)
    if not plan.files:
        return Sorted(plan)
    with new_trail(plan) as trail:
        return Carrier(trail).add(plan, progress)


def resume(journal: Path, *, progress: Progress = silent) -> Sorted:
    """Go on where a sort was stopped, also by a crash, until its whole plan is carried out.

    Raises DataError when there is no such journal, when it is damaged, or when the sort was stopped before
    its plan was written down: nothing was done then. Else as `apply`.
    """
    with old_trail(journal) as trail:
        head = trail.known
        if not trail.whole:
            raise DataError(
                "this sort was stopped before its plan was written down: nothing was sorted yet",
                where=str(trail.path),
                fix=f"{back(trail.path)}, and sort again",
            )
        check_ends(head.source, head.destination)
        wanted = [n for n in range(trail.whole) if trail.states[n] != DONE]
        check_room(head.source, head.destination, head.way, [trail.files[n] for n in wanted])
        carrier = Carrier(trail)
        carrier.carry(range(trail.whole), progress)
        return Sorted(trail.plan, carrier.applied, tuple(carrier.left), trail.path)


@dataclass(slots=True)
class _Act:
    """One file that is about to be placed.

    facts: how it was when it was looked at last; None when there is nothing left to take away
    """

    number: int
    target: str
    facts: os.stat_result | None
    placed: bool = field(default=False)


class Carrier:
    """Carries files of a journal's plan. `applied` counts photos, `left` names what was left alone."""

    def __init__(self, trail: Trail) -> None:
        self._trail, self._head = trail, trail.known
        self._reserved: set[str] | None = None
        self.applied = 0
        self.left: list[Rejected] = []

    def add(self, plan: SortPlan, progress: Progress = silent) -> Sorted:
        """Carry out a further plan, in the same journal. Raises StorageError."""
        before, applied, left = self._trail.whole, self.applied, len(self.left)
        self._reserved = None
        self._trail.add(plan.files)
        self.carry(range(before, self._trail.whole), progress)
        return Sorted(plan, self.applied - applied, tuple(self.left[left:]), self._trail.path)

    def carry(self, numbers: Sequence[int], progress: Progress) -> None:
        """Place these files; those of one photo stand together. Raises StorageError."""
        total = sum(self._trail.files[n].is_photo for n in numbers)
        done = 0
        for batch in _batches(self._trail.files, numbers):
            self._carry_out([act for unit in batch for act in self._acts(unit)])
            done += sum(self._trail.files[n].is_photo for unit in batch for n in unit)
            progress(Step("sorting photos", done, total))

    def _acts(self, unit: Sequence[int]) -> list[_Act]:
        """What is left to do for a photo and its companions: all of it, or nothing."""
        try:
            wanted = [n for n in unit if self._trail.states[n] != DONE and not self._settled(n)]
            facts = [self._unchanged(n) for n in wanted]
            targets = self._targets(wanted) if wanted else []
        except PhotoError as error:
            self._leave(unit, error.what)
            return []
        return [_Act(*act) for act in zip(wanted, targets, facts, strict=True)]

    def _leave(self, unit: Sequence[int], reason: str) -> None:
        for n in unit:
            if self._trail.states[n] != DONE:
                self.left.append(Rejected(self._trail.files[n].path, reason))

    def _unchanged(self, n: int) -> os.stat_result:
        """Raises PhotoError unless the file is as it was when the plan was made."""
        file = self._trail.files[n]
        check_photo(self._head.source, file.path)
        place = self._head.source / file.path
        facts = place.lstat()
        same = (facts.st_size, facts.st_mtime_ns) == (file.size, file.mtime_ns)
        known = file.changed_ns and facts.st_ctime_ns == file.changed_ns
        if not same or facts.st_mode & 0o7777 != file.mode:
            raise PhotoError("it was changed after the plan was made")
        if not known and fingerprint(place)[0] != file.sha256:
            raise PhotoError("it was changed after the plan was made")
        return facts

    def _targets(self, unit: Sequence[int]) -> list[str]:
        """Where they go: as planned, or under another number where something has come in between."""
        targets = [self._trail.targets[n] for n in unit]
        if any(is_blocked(self._head.destination, target) for target in targets):
            raise PhotoError("its folder in the destination is a link, or a file")
        return targets if self._are_free(targets) else self._others(unit)

    def _others(self, unit: Sequence[int]) -> list[str]:
        if self._reserved is None:
            self._reserved = {folded(target) for target in self._trail.targets}
        tails = [tail_of(self._trail.files[n].photo, self._trail.files[n].path) for n in unit]
        folder, slash, name = self._trail.files[unit[0]].target.rpartition("/")
        stem = name.removesuffix(tails[0])
        size = LONGEST_NAME - max(map(size_of, tails))
        for spelled in spellings(stem, max(units(stem), _SHORTEST), size):
            targets = [f"{folder}{slash}{spelled}{tail}" for tail in tails]
            if self._reserved.isdisjoint(map(folded, targets)) and self._are_free(targets):
                break
        self._reserved.update(map(folded, targets))
        return targets

    def _are_free(self, targets: Iterable[str]) -> bool:
        return not any(os.path.lexists(self._head.destination / target) for target in targets)

    def _settled(self, n: int) -> bool:
        """Whether an act that was announced, and perhaps interrupted, is finished now."""
        if self._trail.states[n] not in (DOING, UNDOING):
            return False
        source, target = self._ends(n)
        with storage_of(target):
            finished = is_finished(self._head.way, source, target, self._trail.files[n].sha256)
        if finished:
            self._done(n)
        return finished

    def _carry_out(self, acts: list[_Act]) -> None:
        if not acts:
            return
        self._announce(acts)
        try:
            for unit in self._units(acts):
                self._put_together(unit)
        except StorageError:
            with contextlib.suppress(StorageError):
                self._finish(acts)
            raise
        self._finish(acts)

    def _announce(self, acts: list[_Act]) -> None:
        for folder in dict.fromkeys(folder for act in acts for folder in _folders(act.target)):
            if not os.path.lexists(self._head.destination / folder):
                self._trail.record(FOLDER, path=folder)
        for act in acts:
            self._trail.record(DOING, file=act.number, target=act.target)
        self._trail.sync()

    def _units(self, acts: Iterable[_Act]) -> list[list[_Act]]:
        """Those of one photo together."""
        return [list(unit) for _, unit in groupby(acts, key=lambda act: self._trail.files[act.number].photo)]

    def _put_together(self, unit: Sequence[_Act]) -> None:
        """A photo and its companions; where one of them cannot be put in place, none is."""
        for act in unit:
            with self._leaving(act):
                self._put(act)
            if not act.placed:
                self._give_up(unit, act)
                return

    def _put(self, act: _Act) -> None:
        source, target = self._ends(act.number)
        sha256 = self._trail.files[act.number].sha256
        with storage_of(target):
            self._make_folders(act.target)
            match self._head.way:
                case "move":
                    if put_new(source, target, sha256) is None:
                        act.facts = None
                case "copy":
                    copy_new(source, target, sha256)
                case "hardlink":
                    target.hardlink_to(source)
                case _:
                    target.symlink_to(source)
        act.placed = True

    def _finish(self, acts: list[_Act]) -> None:
        """What was put in place is flushed; only then it is taken away from where it was."""
        placed = [act for act in acts if act.placed]
        for folder in dict.fromkeys(self._ends(act.number)[1].parent for act in placed):
            sync_folder(folder)
        if self._head.way == "move":
            for unit in self._units(placed):
                self._take_together(unit)
            for folder in dict.fromkeys(self._ends(act.number)[0].parent for act in placed):
                sync_folder(folder)
        for act in placed:
            if act.placed:
                self._done(act.number)

    def _take_together(self, unit: Sequence[_Act]) -> None:
        """What was put in place goes from where it was; if one of them was changed since, all stay."""
        for act in sorted(unit, key=self._is_unchanged):  # changed ones first
            source, target = self._ends(act.number)
            with self._leaving(act), storage_of(source):
                take_away(source, target, act.facts)
            if not act.placed:
                self._give_up(unit, act)
                return

    def _is_unchanged(self, act: _Act) -> bool:
        try:
            return act.facts is None or is_same_state(self._ends(act.number)[0].lstat(), act.facts)
        except OSError:  # it is gone: `take_away` says what that means
            return True

    def _give_up(self, unit: Sequence[_Act], failed: _Act) -> None:
        """The others of a photo's files stay with the one that has to."""
        path = self._trail.files[failed.number].path
        for act in unit:
            if act is not failed and (not act.placed or self._withdrawn(act)):
                self._stays(act, f"it goes together with {path}, which stays")

    def _withdrawn(self, act: _Act) -> bool:
        """Whether a file that was put in place is again where it was, alone. What would be lost is kept."""
        source, target = self._ends(act.number)
        with contextlib.suppress(PhotoError), storage_of(target):
            if os.path.lexists(source):
                remove(target)
                return True
            if act.facts is None and self._head.way == "move":  # it was renamed
                move_new(target, source, self._trail.files[act.number].sha256)
                return True
        return False

    @contextlib.contextmanager
    def _leaving(self, act: _Act) -> Iterator[None]:
        """A file that cannot be placed, for reasons of its own, is left where it is."""
        try:
            yield
        except PhotoError as error:
            self._stays(act, error.what)
        except StorageError as error:
            if not isinstance(error.__cause__, FileExistsError):
                raise
            self._stays(act, "another program has put a file where it was to go")

    def _stays(self, act: _Act, reason: str) -> None:
        act.placed = False
        self._trail.record(LEFT, file=act.number)
        self.left.append(Rejected(self._trail.files[act.number].path, reason))

    def _make_folders(self, target: str) -> None:
        for folder in _folders(target):
            place = self._head.destination / folder
            if not os.path.isdir(place):  # noqa: PTH112, Path.is_dir raises for names that are too long
                place.mkdir()
                sync_folder(place.parent)

    def _done(self, n: int) -> None:
        self._trail.record(DONE, file=n)
        self.applied += self._trail.files[n].is_photo

    def _ends(self, n: int) -> tuple[Path, Path]:
        return self._head.source / self._trail.files[n].path, self._head.destination / self._trail.targets[n]


def _folders(target: str) -> list[str]:
    parts = target.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


def _batches(files: Sequence[SortFile], numbers: Sequence[int]) -> Iterator[list[list[int]]]:
    """Photos with their companions, as many as make about a batch."""
    batch: list[list[int]] = []
    for _, unit in groupby(numbers, key=lambda n: files[n].photo):
        batch.append(list(unit))
        if sum(map(len, batch)) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
