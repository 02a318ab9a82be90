"""A hot folder: photos are sorted when they have arrived, which is when nobody writes to them any more."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from sortograph.errors import DataError, MissingExtra
from sortograph.images.walk import photos_below
from sortograph.sorting.companions import matched

QUIET_SECONDS = 2.0  # for which size and time of change must stay the same
_LOOK_SECONDS = 0.5  # between two looks at what is arriving
_REST_SECONDS = 30.0  # between two looks when nothing is told: systems drop notices when there are too many
_TICK_SECONDS = 0.5  # Windows hears no Ctrl-C while it waits
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
        belonging = _companions(new)
        under_way = dict(chain(new.items(), *(files.items() for files in belonging.values())))
        self._since = {file: self._start(file, state, now) for file, state in under_way.items()}
        busy = self._busy(new, belonging, now)
        ready = [photo for photo in new if _stem(photo) not in busy and _opens(photo)]
        self._given.update((photo, new[photo]) for photo in ready)
        self.waiting = len(ready) < len(new)
        return ready

    def _start(self, file: Path, state: _State, now: float) -> tuple[_State, float]:
        known = self._since.get(file)
        return known if known is not None and known[0] == state else (state, now)

    def _busy(self, photos: Iterable[Path], belonging: Mapping[Path, Iterable[Path]], now: float) -> set[str]:
        """Stems of photos of which one, or a file that belongs to it, was written to a short time ago: photos
        of one stem share their companions."""
        return {
            _stem(photo)
            for photo in photos
            if any(now - self._since[file][1] < self._quiet for file in (photo, *belonging.get(photo, ())))
        }


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
        _wait(happened, min(quiet, _LOOK_SECONDS) if arrivals.waiting else _REST_SECONDS)


def _wait(happened: threading.Event, seconds: float) -> None:
    """Until something happens, or the time is over."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not happened.wait(min(left, _TICK_SECONDS)):
        pass


def _companions(photos: Iterable[Path]) -> dict[Path, dict[Path, _State]]:
    """Photo → files that belong to it, with their states."""
    names: dict[Path, list[str]] = {}
    for photo in photos:
        names.setdefault(photo.parent, []).append(photo.name)
    found: dict[Path, dict[Path, _State]] = {}
    for folder, those in names.items():
        try:
            others = os.listdir(folder)  # noqa: PTH208, names are all that is needed
        except OSError:
            continue
        for owner, belonging in matched(those, others).items():
            states = {folder / name: _state(folder / name) for name in belonging}
            found[folder / owner] = {file: state for file, state in states.items() if state is not None}
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


def _stem(photo: Path) -> str:
    """With its folder, as `matched` understands it."""
    return os.path.splitext(photo)[0]  # noqa: PTH122, Path.suffix has other rules for dots
