"""Writing files so that a crash leaves the old one or the new one, never a half."""

from __future__ import annotations

import contextlib
import csv
import errno
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sortograph.errors import StorageError

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the place is read-only",
    errno.EACCES: "no permission to write there",
    errno.EPERM: "no permission to write there",
    errno.EIO: "the disk reports an error",
    errno.ENAMETOOLONG: "the name is too long for this file system",
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _umask()  # once: the only way to read it changes it for a moment, for all threads


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turns an OSError into a StorageError that names `path` and the way forward."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        raise StorageError(
            f"cannot write ({reason})",
            where=str(path),
            expected="a writable place with free space",
            fix="choose another place, or free some space",
        ) from error


def make_folder(path: Path) -> Path:
    """Create a folder with its parents. Raises StorageError."""
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to a temporary neighbour, flush it to the disk, rename it over `path`.

    Raises StorageError; the previous content of `path` is then intact.
    """
    with storage_errors(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-", suffix=path.suffix)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o666 & ~_UMASK)
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
        sync_folder(path.parent)


def write_json(path: Path, data: Any) -> None:
    """UTF-8 JSON. Names whose bytes are no UTF-8 become JSON's own escapes, which `json.loads` turns back."""
    text = json.dumps(data, ensure_ascii=False, indent=1) + "\n"
    write_atomic(path, text.encode("utf-8", "backslashreplace"))


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """UTF-8 CSV, lines end with a line feed. Text that a spreadsheet would run as a formula gets a leading
    apostrophe, which `unguard` takes away again."""
    write_atomic(path, csv_text(header, rows).encode("utf-8", "surrogateescape"))


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """
    >>> csv_text(["a"], [["=1+1"], [2.5]]).splitlines()
    ['a', "'=1+1", '2.5']
    """
    lines = _Lines()
    writer = csv.writer(lines, lineterminator=_Lines.end)
    writer.writerow(header)
    writer.writerows([_guard(cell) for cell in row] for row in rows)
    return "".join(lines)


class _Lines(list[str]):
    """Takes what csv.writer writes, a line a call, and ends it with one line feed.

    Python 3.11 quotes a cell for the sake of the line ends in it only if they are in the writer's own.
    """

    end = "\r\n"

    def write(self, line: str) -> None:
        self.append(line.removesuffix(self.end) + "\n")


def _guard(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and _is_formula(cell) else cell


def unguard(cell: str) -> str:
    """The text that `write_csv` was given, from the cell that it wrote.

    >>> [unguard(cell) for cell in ("'=1+1", "''=1+1", "'tis")]
    ['=1+1', "'=1+1", "'tis"]
    """
    return cell[1:] if cell.startswith("'") and _is_formula(cell) else cell


def _is_formula(cell: str) -> bool:
    # Apostrophes before it are counted in, so that a cell says how often it was guarded.
    return cell.lstrip("'").startswith(_FORMULA)


def is_in(place: Path, folder: Path) -> bool:
    """Whether a place is a folder or lies below it; however both are spelled, or linked."""
    resolved, other = place.resolve(), folder.resolve()
    return any(each == other or _is_same(each, folder) for each in (resolved, *resolved.parents))


def _is_same(place: Path, other: Path) -> bool:
    try:
        return place.samefile(other)
    except (OSError, ValueError):
        return False


def sync_folder(folder: Path) -> None:
    """Makes names in a folder durable, where the system has a call for it: Windows has none."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
