"""From answers to a plan: which file goes where, under which name."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sortograph.bundle.doubts import UNLIKE
from sortograph.errors import PhotoError, StorageError, listed
from sortograph.moving.transfer import check_photo, fingerprint, is_same_state
from sortograph.records import Prediction, Rejected
from sortograph.records.sorting import Renamed, SortFile, SortPlan
from sortograph.sorting.companions import companions, tail_of
from sortograph.sorting.dates import taken_at
from sortograph.sorting.names import LONGEST_NAME, LONGEST_PATH, cut, size_of, units
from sortograph.sorting.numbers import NUMBER, Numbers
from sortograph.sorting.places import Taken
from sortograph.sorting.template import Facts, Template, fit_path

_LONGEST = 200  # of a path below the destination, so that there is room for the destination's own
_SHORTEST = 24  # what must be left of it for a file's name
_SETTLED_NS = 2 * 10**9
_WINDOWS = os.name == "nt"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a sort was asked for. folders: class → its folder, "" for photos without an answer."""

    source: Path
    destination: Path
    way: str
    template: Template
    folders: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A readable photo, its answer, and what its file is like. No target yet."""

    file: SortFile
    probability: float
    unlike: bool


def make_plan(wish: Wish, answers: Iterable[Prediction], *, windows: bool = _WINDOWS) -> SortPlan:
    """Read the answers, hash each photo while it is still in the system's cache, and give each its place.

    answers: of photos below the source, with their absolute paths; taken one by one
    windows: whether the whole path must fit the 259 characters of Windows

    Raises StorageError where folders of the destination are links or files, or its path is too long.
    """
    seen, unreadable = _look(wish, answers)
    planner = _Planner(wish, _longest(wish.destination, windows), unreadable)
    for unit in _with_companions(wish.source, seen, unreadable):
        try:
            planner.place(*unit)
        except PhotoError as error:
            unreadable.append(Rejected(unit[0].file.path, error.what))
    planner.check()
    return SortPlan(
        id=secrets.token_hex(8),
        source=wish.source,
        destination=wish.destination,
        way=wish.way,
        template=wish.template.text,
        folders=wish.folders,
        files=tuple(planner.files),
        identical=tuple(planner.identical),
        unreadable=tuple(unreadable),
        renamed=tuple(dict.fromkeys(planner.renamed)),
        unlike=sum(photo.unlike for photo in seen),
    )


def describe(source: Path, path: str, label: str, photo: str) -> SortFile:
    """What a file is like, read once; its target is not known yet. Raises PhotoError."""
    check_photo(source, path)
    place = source / path
    before = place.lstat()
    sha256, size = fingerprint(place)
    facts = place.lstat()
    if size != facts.st_size or not is_same_state(before, facts):
        raise PhotoError("it is being written")
    # A change within the same tick of the disk's clock would not show.
    settled = os.name == "posix" and time.time_ns() - facts.st_ctime_ns > _SETTLED_NS
    return SortFile(
        path=path,
        target="",
        sha256=sha256,
        size=size,
        mtime_ns=facts.st_mtime_ns,
        mode=facts.st_mode & 0o7777,
        changed_ns=facts.st_ctime_ns if settled else 0,
        label=label,
        photo=photo,
    )


def _look(wish: Wish, answers: Iterable[Prediction]) -> tuple[list[_Seen], list[Rejected]]:
    seen, unreadable = [], []
    for answer in answers:
        path = Path(answer.path).relative_to(wish.source).as_posix()
        try:
            if answer.error is not None:
                raise PhotoError(answer.error)
            file = describe(wish.source, path, answer.label or "", path)
            seen.append(_Seen(file, answer.probability or 0.0, answer.unsure == UNLIKE))
        except (PhotoError, OSError) as error:
            unreadable.append(Rejected(path, error.what if isinstance(error, PhotoError) else "it is gone"))
    return seen, unreadable


def _with_companions(
    source: Path, seen: list[_Seen], unreadable: list[Rejected]
) -> Iterator[tuple[_Seen, list[SortFile]]]:
    """Each photo with what travels with it; where that cannot be read, the photo stays, too."""
    folders: dict[str, list[str]] = {}
    for photo in seen:
        folder, _, name = photo.file.path.rpartition("/")
        folders.setdefault(folder, []).append(name)
    found = {folder: _companions(source / folder, names) for folder, names in folders.items()}
    for photo in seen:
        folder, slash, name = photo.file.path.rpartition("/")
        try:
            yield (
                photo,
                [
                    describe(source, f"{folder}{slash}{other}", photo.file.label, photo.file.path)
                    for other in found[folder][name]
                ],
            )
        except (PhotoError, OSError) as error:
            what = error.what if isinstance(error, PhotoError) else "it is gone"
            unreadable.append(Rejected(photo.file.path, f"a file that belongs to it: {what}"))


def _companions(folder: Path, photos: list[str]) -> dict[str, list[str]]:
    try:
        return companions(folder, photos)
    except OSError:  # its photos were read, yet it cannot be listed
        return {photo: [] for photo in photos}


def _longest(destination: Path, windows: bool) -> int:
    """Of a path below the destination. Raises StorageError."""
    if not windows:
        return _LONGEST
    longest = min(_LONGEST, LONGEST_PATH - units(f"{destination}/"))
    if longest < 2 * _SHORTEST:
        raise StorageError(
            f"too long a path for Windows: {units(str(destination))} of {LONGEST_PATH} characters",
            where=str(destination),
            fix="choose a folder nearer to the top with --into",
        )
    return longest


class _Planner:
    """Gives targets, one photo with its companions after the other."""

    def __init__(self, wish: Wish, longest: int, staying: list[Rejected]) -> None:
        self._wish, self._longest, self._staying = wish, longest, staying
        self._taken = Taken(wish.destination)
        self._numbers = Numbers(self._taken)
        self.files: list[SortFile] = []
        self.identical: list[Renamed] = []
        self.renamed: list[Renamed] = []

    def place(self, photo: _Seen, others: list[SortFile]) -> None:
        wanted = self._wish.template.expand(self._facts(photo))
        folder, name = fit_path(wanted)
        folder = self._taken.folder(folder)
        if units(folder) > self._longest - 2 * _SHORTEST:
            raise PhotoError(f"its folder in the destination would have {units(folder)} characters, too many")
        unit = [photo.file, *others]
        tails = [tail_of(photo.file.path, file.path) for file in unit]
        stem = name.removesuffix(tails[0])
        room = self._longest - NUMBER - units(f"{folder}/") - max(map(units, tails))
        stem = cut(stem, room, LONGEST_NAME - max(map(size_of, tails))) or "_"
        targets, there = self._numbers.place(folder, stem, tails, unit)
        self._tell(photo.file, wanted, "" if there else targets[0])
        if there:
            self._leave(unit, [there, *targets[1:]])
        else:
            pairs = zip(unit, targets, strict=True)
            self.files += [replace(file, target=target) for file, target in pairs]

    def _leave(self, unit: list[SortFile], there: list[str]) -> None:
        """A photo that is there already stays, and so do its companions, there or not."""
        for file, path in zip(unit, there, strict=True):
            if same := self._taken.identical(path, file):
                self.identical.append(Renamed(file.path, same, "identical"))
            else:
                self._staying.append(Rejected(file.path, "its photo is there already, without it"))

    def check(self) -> None:
        """Raises StorageError for folders that cannot be gone into."""
        if self._taken.blocked:
            raise StorageError(
                "folders that photos would go to are links, or files",
                where=listed(str(self._wish.destination / path) for path in self._taken.blocked),
                expected="folders, or nothing",
                fix="move them away, or choose another folder with --into",
            )

    def _tell(self, file: SortFile, wanted: str, target: str) -> None:
        """What is called otherwise than it should be, and why."""
        folder = self._wish.folders[file.label]
        if file.label and folder != file.label:
            self.renamed.append(Renamed(file.label, folder, "not every system takes this name of a class"))
        name, fit = wanted.rpartition("/")[2], fit_path(wanted)[1]
        if target and target.rpartition("/")[2] != name:
            reason = "another file has its name" if fit == name else "not every system takes its name"
            self.renamed.append(Renamed(file.path, target, reason))

    def _facts(self, photo: _Seen) -> Facts:
        file = photo.file
        below, _, name = file.path.rpartition("/")
        dated = self._wish.template.asks_for_date
        taken = taken_at(self._wish.source / file.path, file.mtime_ns) if dated else None
        return Facts(self._wish.folders[file.label], name, below, photo.probability, taken)
