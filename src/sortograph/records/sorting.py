"""What a sort is going to do, what it has done, and what people have corrected since."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sortograph.records.dataset import Rejected

WAYS = ("copy", "move", "hardlink", "symlink")
UNSURE = "_unsure"


@dataclass(frozen=True, slots=True)
class SortFile:
    """One file that a sort places: a photo, or a companion that travels with one.

    path, target  below the source and below the destination, posix
    sha256, size, mtime_ns, mode  of the file when the plan was made
    changed_ns    its inode's time of change, or 0 where a change of the file would not surely show in it
    label         class of the photo; "" when it is withheld
    photo         path of the photo; that of the file itself unless it is a companion
    """

    path: str
    target: str
    sha256: str
    size: int
    mtime_ns: int
    mode: int
    changed_ns: int
    label: str
    photo: str

    @property
    def is_photo(self) -> bool:
        return self.path == self.photo


@dataclass(frozen=True, slots=True)
class Renamed:
    """A name that changes on its way: a class's folder, or the file itself, and why."""

    path: str
    target: str
    reason: str


@dataclass(frozen=True, slots=True)
class SortPlan:
    """All that a sort is going to do; carried out exactly as it stands.

    id         of this plan
    source, destination  absolute, without links
    way        copy, move, hardlink or symlink
    folders    class → the name of its folder
    files      photo by photo, each followed by its companions
    identical  photos that the destination has already, with where; they are left alone
    unreadable photos that stay where they are, and why
    renamed    names that change
    unlike     how many of the photos are unlike anything in training
    """

    id: str
    source: Path
    destination: Path
    way: str
    template: str
    folders: Mapping[str, str]
    files: tuple[SortFile, ...]
    identical: tuple[Renamed, ...] = ()
    unreadable: tuple[Rejected, ...] = ()
    renamed: tuple[Renamed, ...] = ()
    unlike: int = 0

    @property
    def photos(self) -> tuple[SortFile, ...]:
        return tuple(file for file in self.files if file.is_photo)

    @property
    def counts(self) -> dict[str, int]:
        """Class → photos, for classes that have any, in the model's order; withheld ones not among them."""
        found = Counter(file.label for file in self.photos)
        return {label: found[label] for label in self.folders if label and found[label]}

    @property
    def unsure(self) -> int:
        """How many photos go to the folder for those without an answer."""
        return sum(not file.label for file in self.photos)

    def to_json(self) -> dict[str, Any]:
        return {
            "plan": self.counts,
            "unsure": self.unsure,
            "unlike": self.unlike,
            "companions": len(self.files) - len(self.photos),
            "identical": [_renamed(file) for file in self.identical],
            "unreadable": [_rejected(file) for file in self.unreadable],
            "renamed": [{**_renamed(file), "reason": file.reason} for file in self.renamed],
            "way": self.way,
            "source": self.source.as_posix(),
            "destination": self.destination.as_posix(),
        }


@dataclass(frozen=True, slots=True)
class Sorted:
    """What one call did.

    applied  photos that were sorted by this call
    left     files that were left where they are, and why
    journal  where every step is written down; None when nothing was done
    """

    plan: SortPlan
    applied: int = 0
    left: tuple[Rejected, ...] = ()
    journal: Path | None = None

    def to_json(self) -> dict[str, Any]:
        done = {
            "applied": self.applied,
            "left": [_rejected(file) for file in self.left],
            "journal": self.journal.as_posix() if self.journal else None,
        }
        return {**self.plan.to_json(), **done}


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo did.

    undone   paths below the source of files that are as before the sort
    left     files that were left alone, and why, by their path below the destination
    journal  still there when files were left alone, and while a later sort into the folder is not undone:
             it knows of whom the folders are; else None
    """

    undone: tuple[str, ...]
    left: tuple[Rejected, ...]
    journal: Path | None

    def to_json(self) -> dict[str, Any]:
        return {
            "undone": list(self.undone),
            "left": [_rejected(file) for file in self.left],
            "journal": self.journal.as_posix() if self.journal else None,
        }


@dataclass(frozen=True, slots=True)
class Correction:
    """A photo that a person has put under another class: now `path` below the destination, class `label`.

    was  the class that the sort gave it; "" when it was unsure
    """

    path: str
    label: str
    was: str


@dataclass(frozen=True, slots=True)
class Review:
    """Corrections by hand since the sorts into a folder.

    sorted_    photos that were sorted and not taken back
    set_aside  photos that a person has taken out of a class into the folder of unsure ones
    gone       photos that are nowhere in the folder any more
    """

    destination: Path
    corrections: tuple[Correction, ...]
    sorted_: int = 0
    set_aside: tuple[str, ...] = ()
    gone: int = 0
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        rows = [{"path": row.path, "label": row.label, "was": row.was or None} for row in self.corrections]
        return {
            "corrections": rows,
            "sorted": self.sorted_,
            "set_aside": list(self.set_aside),
            "gone": self.gone,
            "notes": list(self.notes),
        }


def _rejected(file: Rejected) -> dict[str, str]:
    return {"path": file.path, "reason": file.reason}


def _renamed(file: Renamed) -> dict[str, str]:
    return {"path": file.path, "target": file.target}
