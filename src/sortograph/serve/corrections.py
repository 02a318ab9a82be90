"""What people say that photos really show: the photos as they were uploaded, and a table."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sortograph.errors import StorageError
from sortograph.files import csv_text, make_folder, storage_errors, sync_folder, write_atomic
from sortograph.images.inspect import hash_of

TABLE, PHOTOS = "corrections.csv", "photos"
COLUMNS = ("sha256", "path", "predicted", "label", "time", "model")
_LOCK, _LONG = ".lock", 10.0
_MARKS = (
    (0, b"\xff\xd8\xff", ".jpg"),
    (0, b"\x89PNG\r\n\x1a\n", ".png"),
    (0, b"GIF8", ".gif"),
    (0, b"BM", ".bmp"),
    (0, b"II", ".tif"),
    (0, b"MM", ".tif"),
    (8, b"WEBP", ".webp"),
    (4, b"ftypavi", ".avif"),
    (4, b"ftyp", ".heic"),
)


@dataclass(frozen=True, slots=True)
class Correction:
    """One line of the table. path is relative to its folder, posix; model is the hash of the one that
    predicted; known tells whether the photo was there already."""

    sha256: str
    path: str
    predicted: str
    label: str
    time: str
    model: str
    known: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "sha256": self.sha256,
            "stored": self.path,
            "label": self.label,
            "predicted": self.predicted,
            "time": self.time,
            "known": self.known,
        }


class Corrections:
    """A folder with corrections.csv and photos/. Several servers may write to it. Raises StorageError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_folder(folder / PHOTOS)
        with self._locked():
            self._check_header()

    def add(self, photo: bytes, label: str, predicted: str, model: str) -> Correction:
        """Store a photo that was decoded, and what is said of it. Raises StorageError."""
        sha256 = hash_of(photo)
        path = f"{PHOTOS}/{sha256}{suffix(photo)}"
        time = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        place = self.folder / path
        with self._locked():
            known = place.exists()
            if not known:
                write_atomic(place, photo)
            self._append((sha256, path, predicted, label, time, model))
        return Correction(sha256, path, predicted, label, time, model, known)

    def _append(self, row: tuple[str, ...]) -> None:
        """A whole line, or none where the disk is full."""
        table = self.folder / TABLE
        line = csv_text(COLUMNS, [row]).partition("\n")[2].encode("utf-8", "surrogateescape")
        with storage_errors(table), table.open("r+b") as file:
            end = file.seek(0, os.SEEK_END)
            try:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                file.truncate(end)
                raise

    def _check_header(self) -> None:
        """A spreadsheet may have left a byte order mark, columns at the end, no line feed at the end."""
        table = self.folder / TABLE
        if not table.exists():
            write_atomic(table, csv_text(COLUMNS, []).encode("utf-8"))
            sync_folder(self.folder)
            return
        with storage_errors(table):
            data = table.read_bytes()
        if not _is_ours(data):
            raise StorageError(
                "a table that is not one of corrections, or ends in the middle of a line",
                where=str(table),
                expected=",".join(COLUMNS),
                fix="choose another folder with --corrections",
            )
        if not data.endswith(b"\n"):
            with storage_errors(table), table.open("ab") as file:
                file.write(b"\n")

    def _locked(self) -> Any:
        from filelock import FileLock, Timeout

        path = self.folder / _LOCK
        try:
            with storage_errors(path):
                return FileLock(path, timeout=_LONG).acquire()
        except Timeout:
            raise StorageError(
                "another program holds the corrections", where=str(path), fix="try again in a moment"
            ) from None


def _is_ours(data: bytes) -> bool:
    text = data.decode("utf-8-sig", "replace")
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error:
        return False
    return bool(rows) and tuple(rows[0][: len(COLUMNS)]) == COLUMNS and len(rows[-1]) >= len(COLUMNS)


def suffix(photo: bytes) -> str:
    """The suffix of what a photo really is, whatever its name said.

    >>> suffix(b"GIF89a...")
    '.gif'
    """
    return next((end for place, mark, end in _MARKS if photo.startswith(mark, place)), ".img")
