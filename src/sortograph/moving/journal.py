"""A journal: JSON lines that are only ever appended, so that work survives being killed at any moment.

What is about to be done is written, and flushed to the disk, before it is done.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

from sortograph.errors import DataError
from sortograph.files import storage_errors

Line = dict[str, Any]
_BLOCK = 1 << 16


class Journal:
    """Appends lines to a file, which is made where there is none. Raises StorageError.

    The writer must be alone: see `alone`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with storage_errors(path):
            end = _end_of_lines(path)
            self._file = path.open("ab", buffering=0)  # a buffer would write again what has failed
            self._file.truncate(end)  # a line that was cut short when its writer was killed

    def write(self, line: Mapping[str, Any], *, durable: bool = False) -> None:
        """Append one line; durable: return only when it is on the disk. Raises StorageError."""
        text = json.dumps(line, ensure_ascii=False) + "\n"
        rest = text.encode("utf-8", "backslashreplace")  # as files.write_json has it
        with storage_errors(self._path):
            while rest:
                rest = rest[self._file.write(rest) :]
        if durable:
            self.sync()

    def sync(self) -> None:
        """Return when all that was written is on the disk. Raises StorageError."""
        with storage_errors(self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def read_journal(path: Path) -> Generator[Line, None, None]:
    """All whole lines, while they are read; none where there is no such file.

    Close it where it is not read to its end: Windows keeps open files. Raises DataError when it is damaged.
    """
    try:
        with path.open("rb") as file:
            for text in file:
                if not text.endswith(b"\n"):  # cut short when its writer was killed
                    return
                line = json.loads(text)
                if not isinstance(line, dict):
                    raise _unreadable(path, "a line is no JSON object")
                yield line
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, str(error)) from None


def has_form(line: Mapping[str, Any], kinds: Mapping[str, Mapping[str, type]]) -> bool:
    """Whether a line has the keys and types of its act. kinds: act → key → type."""
    keys = kinds.get(str(line.get("act")))
    if keys is None or set(line) != {"act", *keys}:
        return False
    return all(type(line[key]) is kind for key, kind in keys.items())


def damaged(path: Path, number: int) -> DataError:
    """What to raise for a line, counted from 1, that says what no journal of ours does."""
    return DataError(
        f"line {number} of the journal is damaged",
        where=str(path),
        expected="the file as it was written",
        fix="repair the line, or restore the file from a backup: it tells where each photo came from",
    )


def newer(path: Path, version: int, known: int) -> DataError:
    """What to raise for a journal of a format that only a later version knows."""
    return DataError(
        f"written by a newer sortograph (format {version}, this one reads up to {known})",
        where=str(path),
        fix="pip install -U sortograph",
    )


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold `path`.lock for this process, without waiting for others.

    Raises DataError while another process holds it, StorageError where it cannot be written.
    """
    from filelock import FileLock, Timeout

    place = path.with_name(f"{path.name}.lock")
    held = FileLock(place)
    with storage_errors(place):
        try:
            held.acquire(blocking=False)
        except Timeout:
            raise DataError(
                "another process is at work on it", where=str(path), fix="wait for that to end"
            ) from None
    try:
        yield
    finally:
        # Before the release: afterwards it could be another's. Windows removes no open file, hence twice.
        _remove(place)
        held.release()
        if os.name == "nt":
            _remove(place)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _end_of_lines(path: Path) -> int:
    """Bytes up to the last line end; 0 where there is no such file."""
    try:
        with path.open("rb") as file:
            start = file.seek(0, os.SEEK_END)
            while start:
                size = min(start, _BLOCK)
                start = file.seek(start - size)
                if found := file.read(size).rfind(b"\n") + 1:
                    return start + found
    except FileNotFoundError:
        pass
    return 0


def _unreadable(path: Path, reason: str) -> DataError:
    return DataError(
        f"the journal cannot be read ({reason.splitlines()[0][:120]})",
        where=str(path),
        expected="the file as it was written, a JSON object a line",
        fix="repair it, or restore it from a backup: it tells where each photo came from",
    )
