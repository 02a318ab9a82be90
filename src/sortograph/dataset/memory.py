"""What earlier scans of a folder found: a photo whose path, size and times are unchanged is not read again.

One SQLite file for each root, in the cache folder. It is a cache: whatever goes wrong with it costs time, and
nothing else. Refusals are not kept, since some of them hang on the machine and its load.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sortograph import caches
from sortograph.images.archive import is_archive
from sortograph.images.decode import contract
from sortograph.records import LOOK, PhotoFacts

_VERSION = 1
_BATCH = 500  # SQLite takes 999 values in one statement, at the least
_COMMIT = 2.0  # seconds
# A file that was changed this recently may change again within the clock's resolution and look the same.
_SETTLED = 2 * 10**9
_TABLE = (
    "CREATE TABLE IF NOT EXISTS photos (path BLOB PRIMARY KEY, size INTEGER, mtime INTEGER, ctime INTEGER, "
    "sha256 BLOB, width INTEGER, height INTEGER, look BLOB) WITHOUT ROWID"
)

Stamp = tuple[int, int, int]  # size, time of the last change, and of the last change of name or rights, in ns


@dataclass(frozen=True, slots=True)
class Known:
    """A photo that need not be read again; `look` are the bytes of one LOOK."""

    sha256: str
    width: int
    height: int
    look: bytes


class Stamps:
    """Size and times of the photos below a root; those of an archive stand for all that is in it."""

    def __init__(self, root: Path) -> None:
        self._root = os.fspath(root)
        self._whole = _stamp(self._root) if is_archive(root) else None

    def of(self, path: str) -> Stamp | None:
        """None for files that cannot be looked at."""
        return self._whole or _stamp(f"{self._root}/{path}")


def _stamp(path: str) -> Stamp | None:
    try:
        status = os.stat(path)  # noqa: PTH116, a Path for each of a million files takes longer than the call
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


class ScanMemory:
    """Facts of the photos of one root, by path and stamp. To be closed."""

    def __init__(self, root: Path) -> None:
        self._waiting: list[tuple[object, ...]] = []
        self._told = time.monotonic()
        self._base: sqlite3.Connection | None = None
        name = hashlib.sha256(os.path.realpath(root).encode("utf-8", "surrogateescape")).hexdigest()[:32]
        with contextlib.suppress(OSError, sqlite3.Error):
            self._base = _opened(caches.cache_folder() / "scans" / f"{name}.sqlite")

    def __enter__(self) -> ScanMemory:
        return self

    def __exit__(self, *_: object) -> None:
        self._commit()
        if self._base is not None:
            self._base.close()
            self._base = None

    def known(self, paths: Sequence[str], stamps: Sequence[Stamp | None]) -> list[Known | None]:
        """What is known of these photos; None for those that must be read."""
        if self._base is None:
            return [None] * len(paths)
        found: list[Known | None] = []
        for start in range(0, len(paths), _BATCH):
            keys = [os.fsencode(path) for path in paths[start : start + _BATCH]]
            rows = self._rows(keys)
            found += [
                row[1] if stamp is not None and (row := rows.get(key)) and row[0] == stamp else None
                for key, stamp in zip(keys, stamps[start : start + _BATCH], strict=True)
            ]
        return found

    def _rows(self, keys: list[bytes]) -> dict[bytes, tuple[Stamp, Known]]:
        marks = ",".join("?" * len(keys))
        query = f"SELECT * FROM photos WHERE path IN ({marks})"
        try:
            assert self._base is not None
            rows = self._base.execute(query, keys).fetchall()
            return {
                path: ((size, mtime, ctime), Known(sha256.hex(), width, height, look))
                for path, size, mtime, ctime, sha256, width, height, look in rows
                if len(look) == LOOK.itemsize
            }
        except (sqlite3.Error, AttributeError, TypeError):
            return {}

    def keep(self, path: str, stamp: Stamp | None, facts: PhotoFacts, since: int | None = None) -> None:
        """Remember a photo; `stamp` was taken before it was read.

        since: when it was read, or earlier, in ns since the epoch; None for just now
        """
        if self._base is None or stamp is None or facts.look is None or _is_fresh(stamp, since):
            return
        look = np.asarray(facts.look, dtype=LOOK).tobytes()
        row = (os.fsencode(path), *stamp, bytes.fromhex(facts.sha256), facts.width, facts.height, look)
        self._waiting.append(row)
        if time.monotonic() - self._told > _COMMIT:
            self._commit()

    def _commit(self) -> None:
        waiting, self._waiting, self._told = self._waiting, [], time.monotonic()
        if self._base is None or not waiting:
            return
        with contextlib.suppress(sqlite3.Error, OverflowError):
            self._base.executemany("INSERT OR REPLACE INTO photos VALUES (?,?,?,?,?,?,?,?)", waiting)
            self._base.commit()


def _is_fresh(stamp: Stamp, since: int | None) -> bool:
    return max(stamp[1:]) > (time.time_ns() if since is None else since) - _SETTLED


def _opened(file: Path) -> sqlite3.Connection:
    """The base of this version of the decoder; one of another version, or a damaged one, is begun anew."""
    file.parent.mkdir(parents=True, exist_ok=True)
    for attempt in _attempts(file):
        base = sqlite3.connect(file, timeout=10, check_same_thread=False)
        try:
            _prepare(base)
        except sqlite3.OperationalError:  # in use, or on a disk that is full: not damaged
            base.close()
            raise
        except sqlite3.DatabaseError:
            base.close()
            if attempt == "last":
                raise
        else:
            caches.touch(file)
            return base
    raise AssertionError("unreachable")


def _attempts(file: Path) -> Iterator[str]:
    yield "first"
    file.unlink(missing_ok=True)
    yield "last"


def _prepare(base: sqlite3.Connection) -> None:
    wanted = f"{_VERSION}-{LOOK.itemsize}-{contract()}"
    base.execute("CREATE TABLE IF NOT EXISTS about (contract TEXT)")
    found = base.execute("SELECT contract FROM about").fetchone()
    if found != (wanted,):
        base.execute("DROP TABLE IF EXISTS photos")
        base.execute("DELETE FROM about")
        base.execute("INSERT INTO about VALUES (?)", (wanted,))
    base.execute(_TABLE)
    base.commit()
