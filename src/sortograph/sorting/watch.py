"""A hot folder: photos are sorted when they have arrived, which is when nobody writes to them any more."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sortograph.errors import DataError, MissingExtra
from sortograph.images.walk import photos_below
from sortograph.sorting.companions import matched

QUIET_SECONDS = 2.0  # for which size and time of change must stay the same
_LOOK_SECONDS = 0.5  # between two looks at what is arriving
_REST_SECONDS = 30.0  # between two looks when nothing is told: systems drop notices when there are too many
_State = tuple[int, int]


class Arrivals:
    """What has arrived in a folder since the last look. A photo that was handed out comes again only when it
    was changed."""

    def __init__(self, source: Path, quiet: float = QUIET_SECONDS) -> None:
        self._source, self._quiet = source, quiet
        self._since: dict[Path, tuple[_State, float]] = {}  # files under way → state, and since when
        self._given: dict[Path, _State] = {}
        self.waiting = False  # whether photos are arriving

    def look(self, now: float) -> list[Path]:
        """Photos that are whole by now, with all that belongs to them. Raises DataError without the
        folder."""
        found = {photo: state for photo in photos_below(self._source) if (state := _state(photo))}
        self._given = {photo: state for photo, state in self._given.items() if photo in found}
        new = {photo: state for photo, state in found.items() if self._given.get(photo) != state}
        under_way = {**new, **_companions(new)}
        self._since = {file: self._start(file, state, now) for file, state in under_way.items()}
        ready = [photo for photo in new if self._is_whole(photo, under_way, now)]
        self._given.update((photo, new[photo]) for photo in ready)
        self.waiting = len(ready) < len(new)
        return ready

    def _start(self, file: Path, state: _State, now: float) -> tuple[_State, float]:
        known = self._since.get(file)
        return known if known is not None and known[0] == state else (state, now)

    def _is_whole(self, photo: Path, under_way: Iterable[Path], now: float) -> bool:
        """Whether neither it nor a file beside it of the same stem was written to for long enough."""
        group = [file for file in under_way if file.parent == photo.parent and _stem(file) == _stem(photo)]
        return all(now - self._since[file][1] >= self._quiet for file in group) and _opens(photo)


@contextmanager
def notices(source: Path) -> Iterator[threading.Event]:
    """An event that is set whenever something happens below a folder.

    Raises MissingExtra without watchdog, DataError where the folder cannot be watched.
    """
    try:
        from watchdog.events import FileSystemEvent, FileSystemEventHandler
        from watchdog.observers import Observer
    except ImportError:
        raise MissingExtra.of("watch", "watchdog") from None

    happened = threading.Event()

    class Handler(FileSystemEventHandler):
        def on_any_event(self, _event: FileSystemEvent) -> None:
            happened.set()

    observer = Observer()
    observer.schedule(Handler(), str(source), recursive=True)
    try:
        observer.start()
    except OSError as error:
        raise DataError(
            f"the folder cannot be watched ({error.strerror or error})", where=str(source)
        ) from None
    try:
        yield happened
    finally:
        observer.stop()
        observer.join()


def arriving(
    source: Path,
    happened: threading.Event,
    *,
    quiet: float = QUIET_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[list[Path]]:
    """Photos that have arrived, as they do, without end. Raises DataError when the folder is gone."""
    arrivals = Arrivals(source, quiet)
    while True:
        happened.clear()
        ready = arrivals.look(clock())
        if ready:
            yield ready
        happened.wait(min(quiet, _LOOK_SECONDS) if arrivals.waiting else _REST_SECONDS)


def _companions(photos: Iterable[Path]) -> dict[Path, _State]:
    """Files that belong to these photos, with their states."""
    names: dict[Path, list[str]] = {}
    for photo in photos:
        names.setdefault(photo.parent, []).append(photo.name)
    found: dict[Path, _State] = {}
    for folder, those in names.items():
        try:
            others = os.listdir(folder)  # noqa: PTH208, names are all that is needed
        except OSError:
            continue
        for belonging in matched(those, others).values():
            found.update(
                (folder / name, state) for name in belonging if (state := _state(folder / name)) is not None
            )
    return found


def _state(file: Path) -> _State | None:
    """Size and time of change of a plain file."""
    try:
        facts = file.lstat()
    except OSError:
        return None
    return (facts.st_size, facts.st_mtime_ns) if stat.S_ISREG(facts.st_mode) else None


def _opens(photo: Path) -> bool:
    """Whether it can be read: on Windows not while another program writes to it."""
    try:
        with photo.open("rb") as file:
            return bool(file.read(1))
    except OSError:
        return False


def _stem(file: Path) -> str:
    return file.name.partition(".")[0]
