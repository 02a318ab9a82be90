"""What people have corrected by hand since photos were sorted: found again by content, wherever they were
moved."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sortograph.errors import DataError, PhotoError
from sortograph.images.names import folded
from sortograph.images.walk import photos_below
from sortograph.moving.transfer import fingerprint
from sortograph.records.sorting import UNSURE, Correction, Review
from sortograph.sorting.desk import journals
from sortograph.sorting.places import HOME
from sortograph.sorting.template import Template, read_template
from sortograph.sorting.trail import DONE, Trail


@dataclass(frozen=True, slots=True)
class _Placed:
    """A photo as a sort has put it there. `depth` is the place of the class's folder in its path."""

    target: str
    label: str
    size: int
    mtime_ns: int
    depth: int
    labels: dict[str, str]  # folded name of a folder → class


def review(destination: Path) -> Review:
    """Compare a sorted folder with the journals in it; nothing is changed.

    A photo that now lies in the folder of another class, or in a new folder in a class's place, is a
    correction; one that was taken out of a class into the folder of unsure ones is set aside. What was not
    moved is no correction, nor is a second copy of a photo that is still where it was put.

    Raises DataError when there is no such folder, no sort into it, or a journal is damaged.
    """
    if not os.path.isdir(destination):  # noqa: PTH112, Path.is_dir raises for names that are too long
        raise DataError(
            "no such folder", where=str(destination), expected="a folder that photos were sorted into"
        )
    trails = [trail for path in journals(destination) if (trail := Trail(path)).head is not None]
    if not trails:
        raise DataError(
            "no photos were sorted into this folder, or the sorts were undone",
            where=str(destination),
            expected=f"a folder with {HOME}/sort-….jsonl",
            fix=f"sortograph sort MODEL PHOTOS --into {destination} --apply",
        )
    notes = [_unclear(trail) for trail in trails if not _tells(trail)]
    placed = {key: found for trail in trails if _tells(trail) for key, found in _placed(trail)}
    return _compared(destination, placed, tuple(notes))


def _compared(destination: Path, placed: dict[tuple[str, str], _Placed], notes: tuple[str, ...]) -> Review:
    at_home = {found.target: key for key, found in placed.items()}
    moved: dict[str, list[str]] = {}  # content → where it is now, away from where it was put
    still: set[tuple[str, str]] = set()
    wanted = {sha256 for sha256, _ in placed}
    for photo in photos_below(destination):
        path = photo.relative_to(destination).as_posix()
        key = at_home.get(path)
        if key is not None and _looks_same(photo, placed[key]):
            still.add(key)
        elif (sha256 := _content(photo)) in wanted:
            home = (sha256, path)
            still.add(home) if home in placed else moved.setdefault(sha256, []).append(path)
    away = [key for key in placed if key not in still]
    corrections, aside, found = [], [], 0
    for sha256, target in away:
        path = next(iter(moved.get(sha256, [])), "")
        if not path:
            continue
        moved[sha256].remove(path)
        found += 1
        was, now = placed[(sha256, target)], _label(path, placed[(sha256, target)])
        if now == "" and was.label:
            aside.append(path)
        elif now and now != was.label:
            corrections.append(Correction(path, now, was.label))
    return Review(destination, tuple(corrections), len(placed), tuple(aside), len(away) - found, notes)


def _placed(trail: Trail) -> Iterator[tuple[tuple[str, str], _Placed]]:
    head = trail.known
    labels = {folded(folder): label for label, folder in head.folders.items()}
    template = read_template(head.template)
    for n, file in enumerate(trail.files[: trail.whole]):
        if file.is_photo and trail.states[n] == DONE:
            target = trail.targets[n]
            depth = _depth(template, file.path.rpartition("/")[0])
            yield (
                (file.sha256, target),
                _Placed(target, file.label, file.size, file.mtime_ns, depth, labels),
            )


def _depth(template: Template, below: str) -> int:
    """How many folders come before that of the class, for a photo of this folder below the source."""
    before = ""
    for (literal, field, form), (after, _, _) in pairwise(template.parts):
        before += literal
        if field == "label" and before[-1:] in ("", "/") and after.startswith("/"):
            break
        before += below if field == "folder" else form or "x"
    return sum(map(bool, before.split("/")))


def _label(path: str, placed: _Placed) -> str | None:
    """The class that the path says now; "" for the folder of unsure ones, None where it says nothing."""
    folders = path.split("/")[:-1]
    if len(folders) <= placed.depth:
        return None
    name = folders[placed.depth]
    return placed.labels.get(folded(name), "" if name == UNSURE else name)


def _looks_same(photo: Path, placed: _Placed) -> bool:
    try:
        facts = photo.stat()
    except OSError:
        return False
    return (facts.st_size, facts.st_mtime_ns) == (placed.size, placed.mtime_ns)


def _content(photo: Path) -> str:
    try:
        return fingerprint(photo)[0]
    except PhotoError:
        return ""


def _tells(trail: Trail) -> bool:
    """Whether the template has a folder that says the class, and nothing but the class."""
    return "{label}" in trail.known.template.split("/")[:-1]


def _unclear(trail: Trail) -> str:
    return f"the template {trail.known.template} has no folder {{label}}: photos of that sort tell no class"
