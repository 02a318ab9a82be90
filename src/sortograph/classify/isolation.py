"""Photos read by worker processes: none of them can hang this process, bring it down or fill its memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from sortograph.classify.answering import Read
from sortograph.errors import DataError, UsageError
from sortograph.images.archive import members_of, place_of
from sortograph.images.crew import Crew
from sortograph.images.sources import Photo, name_of
from sortograph.records import PreprocessSpec


def read_apart(photos: Iterable[Photo], spec: PreprocessSpec, workers: int) -> Iterator[Read]:
    """Name, and pixels or the reason why there are none, of each file, in their order.

    Raises UsageError for a photo that is no file: it is in this process already.
    """
    crew, here = Crew(workers=workers), Path.cwd()
    try:
        for root, group in groupby(_placed(photos, here), key=lambda place: place[0]):
            names: deque[str] = deque()
            for reading in crew.read(root, _noted(group, names), ((spec, 1.0),), look=False):
                yield names.popleft(), reading.pixels[0] if reading.pixels else reading.reason
    finally:
        crew.close()


def _placed(photos: Iterable[Photo], here: Path) -> Iterator[tuple[Path, str, str]]:
    """Root, path below it, and name as it was given."""
    for photo in photos:
        if not isinstance(photo, str | os.PathLike):
            raise UsageError(
                f"{type(photo).__name__} to be read in another process", expected="files, or isolate=False"
            )
        path = Path(photo)
        root, inner = _place(path) or (here, str(path))
        yield root, inner, name_of(photo)


def _place(path: Path) -> tuple[Path, str] | None:
    """The archive and the member, where there is one that can be opened."""
    place = place_of(path)
    if place is not None:
        try:
            members_of(place[0])
        except DataError:  # its photos are then files that do not exist
            return None
    return place


def _noted(group: Iterable[tuple[Path, str, str]], names: deque[str]) -> Iterator[str]:
    for _, inner, name in group:
        names.append(name)
        yield inner
