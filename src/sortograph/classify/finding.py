"""From what was typed to photos: files, folders, patterns, archives, and names on standard input."""

from __future__ import annotations

import os
import select
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, cast

from sortograph.errors import DataError, counted, listed
from sortograph.images.archive import is_archive, members_of, place_of
from sortograph.images.walk import photos_below

if TYPE_CHECKING:
    from io import BufferedReader

    from sortograph.records import Progress

STDIN = "-"
_BLOCK = 1 << 16
_Count = Callable[[int], None]


class Names:
    """The names on a stream, while they are read: one a line, or each ended by a zero byte.

    stream: None for standard input, at the time when they are read
    """

    def __init__(self, stream: BufferedReader | None = None) -> None:
        self._stream = stream
        self._ready: deque[Path] = deque()
        self._reading = False
        self.within = False
        """Whether more photos come of the name before, which is that of a folder or an archive."""

    def __iter__(self) -> Iterator[Path]:
        if self._stream is None and sys.stdin is not None:  # a program without a console has none
            self._stream = cast("BufferedReader", sys.stdin.buffer)
        if self._stream is None:
            return
        self._reading = True
        data = self._stream.read1(_BLOCK)
        while b"\0" not in data and b"\n" not in data and (block := self._stream.read1(_BLOCK)):
            data += block
        end, spare = (b"\0", b"") if b"\0" in data else (b"\n", b"\r")
        while self._reading:
            *whole, data = data.split(end)
            named = (name for line in whole if (name := line.removesuffix(spare)))
            self._ready.extend(Path(os.fsdecode(name)) for name in named)
            while self._ready:
                yield self._ready.popleft()
            data += (block := self._stream.read1(_BLOCK))
            self._reading = bool(block)
        if name := data.removesuffix(spare):
            yield Path(os.fsdecode(name))

    def idle(self) -> bool:
        """Whether they are being read and whoever writes them pauses: to ask for the next one is to wait.

        Always false on Windows, where nothing tells.
        """
        if not self._reading or self._ready or self.within:
            return False
        assert self._stream is not None
        try:
            return not select.select([self._stream], [], [], 0)[0]
        except (OSError, ValueError):  # no file of the system's, or one of too high a number
            return False


def find_photos(
    inputs: Iterable[str | os.PathLike[str]],
    *,
    names: Names | None = None,
    progress: Progress | None = None,
) -> Iterator[Path]:
    """Files as given, and the photos in folders, in .zip and .tar archives and below them, in natural order.

    A name that does not exist may be a pattern with `*`, `?`, `[ab]` or `**`, or name a photo in an archive:
    photos.zip/cats/1.jpg, as those found in one are named, too.
    "-" stands for `names`, those on standard input unless told otherwise; they are not looked for here, so
    that one of them that is gone costs no more than its own answer, as does an archive or a folder among many
    that cannot be opened. Folders are walked and names read while photos are taken; how many other files were
    left out is told in the end.

    Raises DataError at once for other names that do not exist, all of them in one message, and for archives
    that cannot be opened; and at the end when nothing was found.
    """
    given, names = [os.fspath(name) for name in inputs], names or Names()
    found = [names if name == STDIN else _expanded(name) for name in given]
    missing = [name for name, paths in zip(given, found, strict=True) if paths is None]
    if missing:
        raise DataError(
            "no such file or folder" if len(missing) == 1 else f"{len(missing)} names do not exist",
            where=listed(missing),
            expected="photos, folders or archives of photos, patterns, or - for names on standard input",
        )
    paths = chain.from_iterable(each for each in found if each is not None)
    return _photos(paths, given, names, progress)


def _expanded(name: str) -> Iterable[Path] | None:
    """What a name stands for; None where that does not exist. Raises DataError for unreadable archives."""
    if os.path.lexists(name):
        path = Path(name)
        if is_archive(path):
            members_of(path)  # what is wrong with it is told before anything is answered
        return (path,)
    try:
        return (Path(name),) if place_of(Path(name)) else _matched(name)
    except (OSError, ValueError):  # a name that the system does not even look for
        return None


def _matched(name: str) -> Iterable[Path] | None:
    from sortograph.images.patterns import is_pattern, matches

    if not is_pattern(name):
        return None
    paths = matches(name)
    first = next(paths, None)
    return None if first is None else chain((first,), paths)


def _photos(
    paths: Iterable[Path], given: list[str], names: Names, progress: Progress | None
) -> Iterator[Path]:
    found, others = 0, 0

    def leave_out(count: int) -> None:
        nonlocal others
        others += count

    for path in paths:
        try:
            for photo, names.within in _with_more(_inside(path, leave_out)):
                found += 1
                yield photo
        except DataError:  # an archive or a folder that cannot be opened
            if len(given) == 1 and os.fspath(path) == given[0]:
                raise
            found += 1
            names.within = False
            yield path  # whoever reads it finds out, and the others are answered
    if others and progress is not None:
        from sortograph.records import Said

        were = "was" if others == 1 else "were"
        progress(Said(f"{counted(others, 'other file')} {were} left out: hidden, linked, or not a photo"))
    if not found and any(name != STDIN for name in given):
        raise DataError("no photos", where=listed(given), expected="files with the suffix of a photo")


def _with_more(photos: Iterable[Path]) -> Iterator[tuple[Path, bool]]:
    """Each with whether something comes after it, a DataError too.

    >>> [(path.name, more) for path, more in _with_more([Path("a"), Path("b")])]
    [('a', True), ('b', False)]
    """
    source = iter(photos)
    photo = next(source, None)
    while photo is not None:
        failure: DataError | None = None
        following = None
        try:
            following = next(source, None)
        except DataError as error:
            failure = error
        yield photo, following is not None or failure is not None
        if failure is not None:
            raise failure
        photo = following


def _inside(path: Path, leave_out: _Count) -> Iterable[Path]:
    # Unlike Path.is_dir, this takes names that are too long for no folder instead of raising.
    if os.path.isdir(path):  # noqa: PTH112
        return photos_below(path, leave_out)
    return _photos_in(path, leave_out) if is_archive(path) else (path,)


def _photos_in(archive: Path, leave_out: _Count) -> Iterator[Path]:
    """The members of an archive, those of a folder before those of the folders in it."""
    from sortograph.images.names import natural_key

    members = members_of(archive)
    leave_out(members.unsafe)
    waiting = [""]
    while waiting:
        folder = members.folders[waiting.pop()]
        if folder is None:  # hidden, and counted by the one above it
            continue
        leave_out(folder.ignored)
        yield from (archive / name for name in sorted(folder.files, key=natural_key))
        waiting += sorted(folder.folders, key=natural_key, reverse=True)
