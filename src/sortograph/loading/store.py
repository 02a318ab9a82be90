"""Pixels of decoded photos on disk, found by the content of the photo: append-only, shared by runs.

A store is two files that only grow: `pixels.bin`, records of H·W·3 bytes, and `keys.bin`, records of 44 bytes
(SHA-256 of the photo, its width and height, and a CRC-32 of its pixels). Pixels reach the disk before their
keys are written, both under a lock, so a crash leaves at most pixels that no key points to, which the next
writer cuts off. Pixels are checked when they are first asked for; damaged ones count as not stored.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from sortograph.files import make_folder, storage_errors
from sortograph.records import PhotoFacts

_KEY = struct.Struct("<32sIII")
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Stored:
    """One photo to be kept: its facts and its pixels, uint8 (H, W, 3)."""

    facts: PhotoFacts
    pixels: Pixels


class PixelStore:
    """One size of pixels in one folder.

    folder: created when first written to; shape: (H, W, 3)
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int]) -> None:
        self.folder, self.shape = folder, shape
        self.record = int(np.prod(shape))
        self._rows: dict[str, int] = {}
        self._facts: dict[str, PhotoFacts] = {}
        self._sound: set[int] = set()
        self._keys = b""
        self._map: Pixels | None = None
        self._load()

    def __contains__(self, sha256: str) -> bool:
        row = self._rows.get(sha256)
        if row is None or row in self._sound:
            return row is not None
        if zlib.crc32(self._mapped()[row]) != self._key(row)[3]:
            del self._rows[sha256]  # `append` will keep it anew
            return False
        self._sound.add(row)
        return True

    def facts(self, sha256: str) -> PhotoFacts | None:
        return self._facts[sha256] if sha256 in self else None

    def read(self, contents: Sequence[str]) -> Pixels:
        """uint8 (N, H, W, 3). Raises KeyError for contents that are not stored."""
        rows = np.fromiter((self._rows[sha256] for sha256 in contents), dtype=np.int64, count=len(contents))
        return self._mapped()[rows]

    def append(self, photos: Sequence[Stored]) -> None:
        """Keep these photos; those that are already here, also from other runs, are left out.

        Raises StorageError when the disk is full or the folder cannot be written.
        """
        make_folder(self.folder)
        with storage_errors(self.folder), FileLock(self.folder / ".lock"):
            self._load()
            new = {photo.facts.sha256: photo for photo in photos if photo.facts.sha256 not in self._rows}
            pixels = b"".join(photo.pixels.tobytes() for photo in new.values())
            keys = b"".join(_packed(photo) for photo in new.values())
            count = len(self._keys) // _KEY.size
            _extend(self.folder / "pixels.bin", count * self.record, pixels)
            _extend(self.folder / "keys.bin", count * _KEY.size, keys)
            self._load()

    def _load(self) -> None:
        """Takes in what other runs have added, and forgets what they have removed."""
        data = self._whole_keys()
        if data == self._keys:
            return
        if not data.startswith(self._keys):
            self._keys, self._rows, self._facts, self._sound = b"", {}, {}, set()
        known, self._keys, self._map = len(self._keys), data, None
        for row in range(known // _KEY.size, len(data) // _KEY.size):
            digest, width, height, _ = self._key(row)
            facts = PhotoFacts(digest.hex(), width, height)
            self._rows[facts.sha256] = row
            self._facts[facts.sha256] = facts

    def _key(self, row: int) -> tuple[bytes, int, int, int]:
        digest, width, height, checksum = _KEY.unpack_from(self._keys, row * _KEY.size)
        return digest, width, height, checksum

    def _whole_keys(self) -> bytes:
        keys, pixels = self.folder / "keys.bin", self.folder / "pixels.bin"
        if not (keys.is_file() and pixels.is_file()):
            return b""
        data = keys.read_bytes()
        # A key whose pixels were lost with the power does not count.
        count = min(len(data) // _KEY.size, pixels.stat().st_size // self.record)
        return data[: count * _KEY.size]

    def _mapped(self) -> Pixels:
        if self._map is None:
            shape = (len(self._keys) // _KEY.size, *self.shape)
            self._map = np.memmap(self.folder / "pixels.bin", dtype=np.uint8, mode="r", shape=shape)
        return self._map


def _packed(photo: Stored) -> bytes:
    facts, checksum = photo.facts, zlib.crc32(photo.pixels.tobytes())
    return _KEY.pack(bytes.fromhex(facts.sha256), facts.width, facts.height, checksum)


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
