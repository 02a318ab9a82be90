"""What was made of photos, on disk, found by the content of the photo: append-only, shared by runs.

A store holds one array for each photo, all of one shape and type: pixels, or an embedding. It is two files
that only grow: `values.bin`, the arrays one after the other, and `keys.bin`, records of 44 bytes (SHA-256 of
the photo, its width and height, and a CRC-32 of its array). Arrays reach the disk before their keys are
written, both under a lock, so a crash leaves at most arrays that no key points to, which the next writer cuts
off. Arrays are checked when they are first asked for; damaged ones count as not stored.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import DTypeLike, NDArray

from sortograph.files import make_folder, storage_errors
from sortograph.records import PhotoFacts

KEYS, VALUES = "keys.bin", "values.bin"
_KEY = struct.Struct("<32sIII")
Values = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """One photo's array to be kept, with the facts of the photo; of the shape and type of its store."""

    facts: PhotoFacts
    values: Values


class Store:
    """Arrays of one kind in one folder.

    folder: created when first written to
    shape, dtype: of each array, such as (H, W, 3) of uint8 pixels, or (D,) of float32 numbers. They are not
        written down: whatever decides them belongs into the name of the folder
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: DTypeLike = np.uint8) -> None:
        self.folder, self.shape = folder, shape
        # Little endian, so that stores may be carried from machine to machine.
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self.record = math.prod(shape) * self.dtype.itemsize
        self._rows: dict[str, int] = {}
        self._sound: set[int] = set()
        self._keys = b""
        self._map: Values | None = None
        self._load()

    def __contains__(self, sha256: str) -> bool:
        row = self._rows.get(sha256)
        if row is None or row in self._sound:
            return row is not None
        if zlib.crc32(self._mapped()[row]) != self._key(row)[3]:
            self._rows.pop(sha256, None)  # `append` will keep it anew; another thread may have seen it, too
            return False
        self._sound.add(row)
        return True

    def facts(self, sha256: str) -> PhotoFacts | None:
        """Content, width and height of a photo whose array is here."""
        if sha256 not in self:
            return None
        _, width, height, _ = self._key(self._rows[sha256])
        return PhotoFacts(sha256, width, height)

    def read(self, contents: Sequence[str]) -> Values:
        """(N, *shape), of `dtype`. Raises KeyError for contents that are not stored."""
        if not contents:  # there may be no file yet
            return np.empty((0, *self.shape), self.dtype)
        rows = np.fromiter((self._rows[sha256] for sha256 in contents), dtype=np.int64, count=len(contents))
        return self._mapped()[rows].view(np.ndarray)

    def append(self, photos: Sequence[Stored]) -> None:
        """Keep these arrays; those that are already here, also from other runs, are left out.

        Raises StorageError when the disk is full or the folder cannot be written.
        """
        make_folder(self.folder)
        with storage_errors(self.folder), FileLock(self.folder / ".lock"):
            self._load()
            new = [photo for photo in photos if photo.facts.sha256 not in self._rows]
            held = {photo.facts.sha256: (photo.facts, self._bytes(photo.values)) for photo in new}
            count = len(self._keys) // _KEY.size
            values = b"".join(data for _, data in held.values())
            keys = b"".join(_packed(facts, data) for facts, data in held.values())
            _extend(self.folder / VALUES, count * self.record, values)
            _extend(self.folder / KEYS, count * _KEY.size, keys)
            self._load()

    def _bytes(self, values: Values) -> bytes:
        assert values.shape == self.shape, f"{values.shape} in a store of {self.shape}"
        return values.astype(self.dtype, copy=False).tobytes()

    def _load(self) -> None:
        """Takes in what other runs have added, and forgets what they have removed."""
        data = self._whole_keys()
        if data == self._keys:
            return
        if not data.startswith(self._keys):
            self._keys, self._rows, self._sound = b"", {}, set()
        known, self._keys, self._map = len(self._keys), data, None
        for row in range(known // _KEY.size, len(data) // _KEY.size):
            start = row * _KEY.size
            self._rows[data[start : start + 32].hex()] = row

    def _key(self, row: int) -> tuple[bytes, int, int, int]:
        digest, width, height, checksum = _KEY.unpack_from(self._keys, row * _KEY.size)
        return digest, width, height, checksum

    def _whole_keys(self) -> bytes:
        keys, values = self.folder / KEYS, self.folder / VALUES
        if not (keys.is_file() and values.is_file()):
            return b""
        data = keys.read_bytes()
        # A key whose array was lost with the power does not count.
        count = min(len(data) // _KEY.size, values.stat().st_size // self.record)
        return data[: count * _KEY.size]

    def _mapped(self) -> Values:
        if self._map is None:
            shape = (len(self._keys) // _KEY.size, *self.shape)
            self._map = np.memmap(self.folder / VALUES, dtype=self.dtype, mode="r", shape=shape)
        return self._map


def _packed(facts: PhotoFacts, data: bytes) -> bytes:
    return _KEY.pack(bytes.fromhex(facts.sha256), facts.width, facts.height, zlib.crc32(data))


def _extend(path: Path, start: int, data: bytes) -> None:
    """Write `data` at `start`, over whatever a crash has left there, and end the file after it."""
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.seek(start)
        file.write(data)
        end = file.tell()
        if file.seek(0, os.SEEK_END) > end:  # Windows refuses to cut files that someone reads, if only by 0
            file.truncate(end)
        file.flush()
        os.fsync(file.fileno())
