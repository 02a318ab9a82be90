"""Where caches and what the user has added lie, and how large caches may become.

The cache folder holds four kinds of things, each in a subfolder of its own: decoded pixels and embeddings
(`loading.store`), exported backbones, and what scans remember. Only files that bear our names there are ever
counted or removed, and links are never followed: the folder may be anyone's.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs

KINDS = ("pixels", "features", "backbones", "scans")
_MOST_BYTES = 20 * 10**9
_SHARE_OF_FREE = 0.2
_RECENT = 3600.0  # seconds: a store that was used since may belong to a run that goes on
_STORE = r"keys\.bin|values\.bin|\.lock"
_OURS = {
    "pixels": re.compile(_STORE),
    "features": re.compile(_STORE),
    # Graphs, what their names meant, and what a crash leaves of `files.write_atomic`.
    "backbones": re.compile(r"backbone\.(onnx|json)|[0-9a-f]{32}\.json|\.writing-\w+\.(onnx|json)", re.ASCII),
    "scans": re.compile(r"[0-9a-f]{32}\.sqlite(-journal|-wal|-shm)?"),
}
# Where there is such a file, its folder is a store; of scans each file is one.
_MARKS = {"pixels": "keys.bin", "features": "keys.bin", "backbones": "backbone.onnx"}
_LINKS = frozenset((0xA000000C, 0xA0000003))  # reparse tags of Windows: symbolic link, junction


@dataclass(frozen=True, slots=True)
class Usage:
    """What one kind of cache takes.

    place   its folder, which need not be there
    bytes   of all that is ours in it
    stores  how many can be removed by themselves: sizes of pixels, kinds of embeddings, backbones, scans
    in_use  how many of these were used within the last hour
    """

    place: Path
    bytes: int
    stores: int
    in_use: int


def cache_folder() -> Path:
    """`SORTOGRAPH_CACHE`, else the cache folder that the system has for users. Not created here."""
    given = os.environ.get("SORTOGRAPH_CACHE")
    return Path(given) if given else Path(platformdirs.user_cache_dir("sortograph", appauthor=False))


def home_folder() -> Path:
    """`SORTOGRAPH_HOME`, else the folder that the system has for data of users; what lies there was added
    by the user and is no cache. Not created here."""
    given = os.environ.get("SORTOGRAPH_HOME")
    return Path(given) if given else Path(platformdirs.user_data_dir("sortograph", appauthor=False))


def limit(folder: Path) -> int:
    """Bytes that the cache may take: 20 GB, or 20 % of what is free with the cache itself counted as free."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    free = shutil.disk_usage(there).free + taken(folder)
    return min(_MOST_BYTES, int(free * _SHARE_OF_FREE))


def taken(folder: Path) -> int:
    """Bytes of all that is ours in a cache folder."""
    return sum(size for kind in KINDS for _, size in _ours(folder, kind))


def usage(folder: Path, kind: str) -> Usage:
    """What one of `KINDS` takes in a cache folder."""
    stores = [_used(store) for store in _stores(folder, kind)]
    recent = sum(map(_is_recent, stores))
    return Usage(folder / kind, sum(size for _, size in _ours(folder, kind)), len(stores), recent)


def clear(folder: Path, kind: str) -> int:
    """Removes all that is ours of one kind, used or not; how many bytes were there, less those that stay."""
    before = usage(folder, kind).bytes
    _unlink([file for file, _ in _ours(folder, kind)], folder / kind)
    return before - usage(folder, kind).bytes


def make_room(folder: Path, needed: int, keep: tuple[Path, ...]) -> bool:
    """Remove the stores that were used least recently until `needed` more bytes fit; False if they cannot.

    keep: stores that stay. Stores used within the last hour stay, too.
    """
    excess = taken(folder) + needed - limit(folder)
    if excess <= 0:
        return True
    stores = [(_used(store), kind, store) for kind in KINDS for store in _stores(folder, kind)]
    for used, kind, store in sorted(stores):
        if store in keep or _is_recent(used):
            continue
        excess -= _removed(folder, kind, store)
        if excess <= 0:
            return True
    return False


def touch(store: Path) -> None:
    """Marks a store as used now, where there is one that may be changed."""
    with contextlib.suppress(OSError):
        os.utime(store)


def _removed(folder: Path, kind: str, store: Path) -> int:
    """Remove one store; how many bytes it took."""
    files = [(file, size) for file, size in _ours(folder, kind) if store in (file, file.parent)]
    _unlink([file for file, _ in files], folder / kind)
    return sum(size for file, size in files if not file.exists())


def _unlink(files: list[Path], top: Path) -> None:
    """Remove files, and the folders up to `top` that are empty then."""
    for file in files:
        with contextlib.suppress(OSError):
            file.unlink()
    folders = {above for file in files for above in file.parents if above == top or top in above.parents}
    for folder in sorted(folders, key=lambda place: len(place.parts), reverse=True):
        with contextlib.suppress(OSError):  # not empty
            folder.rmdir()


def _ours(folder: Path, kind: str) -> Iterator[tuple[Path, int]]:
    """The files of one kind, with their sizes."""
    ours = _OURS[kind]
    return ((file, size) for file, size in _files(folder / kind) if ours.fullmatch(file.name))


def _stores(folder: Path, kind: str) -> list[Path]:
    files = [file for file, _ in _ours(folder, kind)]
    if kind == "scans":
        return [file for file in files if file.suffix == ".sqlite"]
    return [file.parent for file in files if file.name == _MARKS[kind]]


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    """Regular files below, with their sizes. Passes over links, and what another run removes meanwhile."""
    with contextlib.suppress(OSError):
        if _is_link(folder.lstat()):
            return
        for path in list(folder.iterdir()):
            yield from _file(path)


def _file(path: Path) -> Iterator[tuple[Path, int]]:
    try:
        status = path.lstat()
    except OSError:
        return
    if stat.S_ISDIR(status.st_mode):
        yield from _files(path)
    elif stat.S_ISREG(status.st_mode):
        yield path, status.st_size


def _is_link(status: os.stat_result) -> bool:
    return stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) in _LINKS


def _used(store: Path) -> float:
    try:
        return store.stat().st_mtime
    except OSError:  # another run has just removed it
        return math.inf


def _is_recent(used: float) -> bool:
    return used >= time.time() - _RECENT
