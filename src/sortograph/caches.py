"""Where caches lie, and how large they may become."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import time
from pathlib import Path

import platformdirs

_MOST_BYTES = 20 * 10**9
_SHARE_OF_FREE = 0.2
_RECENT = 3600.0  # seconds: a store that was used since may belong to a run that goes on


def cache_folder() -> Path:
    """`SORTOGRAPH_CACHE`, else the cache folder that the system has for users. Not created here."""
    given = os.environ.get("SORTOGRAPH_CACHE")
    return Path(given) if given else Path(platformdirs.user_cache_dir("sortograph", appauthor=False))


def limit(folder: Path) -> int:
    """Bytes that the cache may take: 20 GB, or 20 % of what is free with the cache itself counted as free."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    free = shutil.disk_usage(there).free + size(folder)
    return min(_MOST_BYTES, int(free * _SHARE_OF_FREE))


def size(folder: Path) -> int:
    """Bytes of all files below."""
    return sum(_file_size(Path(place, name)) for place, _, names in os.walk(folder) for name in names)


def _file_size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # another run has just removed it
        return 0


def make_room(folder: Path, needed: int, keep: tuple[Path, ...]) -> bool:
    """Remove the stores that were used least recently until `needed` more bytes fit; False if they cannot.

    keep: stores that stay. Stores used within the last hour stay, too.
    """
    excess = size(folder) + needed - limit(folder)
    if excess <= 0:
        return True
    old = sorted((used, store) for store in _stores(folder) if (used := _used(store)) < time.time() - _RECENT)
    for _, store in old:
        if store in keep:
            continue
        excess -= _removed(store)
        if excess <= 0:
            return True
    return False


def _removed(store: Path) -> int:
    """Remove a folder of pixels, or what a scan has remembered; how many bytes they took."""
    if store.is_dir():
        count = size(store)
        shutil.rmtree(store, ignore_errors=True)
        return count
    count = _file_size(store)
    with contextlib.suppress(OSError):
        store.unlink()
    return count


def touch(store: Path) -> None:
    """Marks a store as used now, where there is one that may be changed."""
    with contextlib.suppress(OSError):
        os.utime(store)


def _stores(folder: Path) -> list[Path]:
    # Unlike Path.rglob, os.walk passes over folders that another run removes meanwhile.
    walked = [(Path(place), names) for place, _, names in os.walk(folder)]
    pixels = [place for place, names in walked if "keys.bin" in names]
    return pixels + [place / name for place, names in walked for name in names if name.endswith(".sqlite")]


def _used(store: Path) -> float:
    try:
        return store.stat().st_mtime
    except OSError:  # another run has just removed it
        return math.inf
