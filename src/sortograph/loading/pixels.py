"""The pixels of a run: each photo decoded once, while it is indexed, then read from the cache.

Photos are kept at the size of the model, byte for byte what `predict` makes of them; and, where training
zooms in, also larger by that zoom, so that zoomed views keep their detail.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sortograph import caches
from sortograph.cores import cores
from sortograph.errors import PhotoError, RunError, StorageError
from sortograph.images.decode import contract, open_photo
from sortograph.images.inspect import read_photo
from sortograph.images.preprocess import resize
from sortograph.loading.store import Store, Stored
from sortograph.records import DatasetIndex, PhotoFacts, PreprocessSpec, Progress, Said, silent

Pixels = NDArray[np.uint8]
_FLUSH_BYTES = 64 * 10**6


class PhotoPixels:
    """Decodes, keeps and gives the pixels of photos.

    spec: of the model; factor ≥ 1: how much larger the photos for training are kept.
    Give it to `dataset.scan` as the keeper, then `flush`, then ask for `evaluation` and `training`.
    """

    def __init__(self, spec: PreprocessSpec, factor: float = 1.0, progress: Progress = silent) -> None:
        self.spec, self.factor, self._progress = spec, factor, progress
        self._waiting: list[tuple[PhotoFacts, Pixels, Pixels]] = []
        self._keeps = True
        self._temporary: Path | None = None
        self._open(caches.cache_folder())

    def _open(self, folder: Path) -> None:
        self._folder = folder
        self._plain = self._store(1.0)
        self._large = self._plain if self.factor == 1.0 else self._store(self.factor)
        self._record = self._plain.record + (0 if self._large is self._plain else self._large.record)

    def _store(self, factor: float) -> Store:
        height, width = self.spec.scaled(factor)
        store = Store(self._folder / "pixels" / contract() / self.spec.resize_key(factor), (height, width, 3))
        caches.touch(store.folder)
        return store

    @property
    def sizes(self) -> tuple[tuple[PreprocessSpec, float], ...]:
        """What `keep` wants of each photo: the model's size, and the larger one where that is another."""
        plain = (self.spec, 1.0)
        return (plain,) if self._large is self._plain else (plain, (self.spec, self.factor))

    def has(self, sha256: str) -> bool:
        """Whether all pixels of this content are here, undamaged."""
        return sha256 in self._plain and sha256 in self._large

    def keep(self, facts: PhotoFacts, pixels: Sequence[Pixels]) -> None:
        """Keep the pixels of a photo that was just read, in the order of `sizes`."""
        if self.has(facts.sha256):
            return
        self._waiting.append((facts, pixels[0], pixels[-1]))
        if len(self._waiting) * self._record >= _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what was decoded since the last time."""
        waiting, self._waiting = self._waiting, []
        if not waiting or not self._keeps:
            return
        try:
            self._write(waiting)
        except StorageError as error:
            self._move_out(error)
            self._write(waiting)

    def _write(self, waiting: list[tuple[PhotoFacts, Pixels, Pixels]]) -> None:
        stores = (self._plain.folder, self._large.folder)
        if not caches.make_room(self._folder, len(waiting) * self._record, stores):
            self._keeps = False
            self._progress(
                Said(
                    f"the pixel cache is full ({caches.limit(self._folder) / 1e9:.1f} GB): the other photos "
                    "are decoded again in every epoch, slowly. SORTOGRAPH_CACHE chooses another place",
                    warning=True,
                )
            )
            return
        self._plain.append([Stored(facts, plain) for facts, plain, _ in waiting])
        if self._large is not self._plain:
            self._large.append([Stored(facts, large) for facts, _, large in waiting])

    def _move_out(self, error: StorageError) -> None:
        """Work in a temporary folder where the cache cannot be written; twice is once too often."""
        if self._temporary is not None:
            raise error
        self._temporary = Path(tempfile.mkdtemp(prefix="sortograph-"))
        weakref.finalize(self, shutil.rmtree, self._temporary, ignore_errors=True)
        self._progress(Said(f"the cache is not used: {error.what}: {error.where}", warning=True))
        self._open(self._temporary)

    def evaluation(self, index: DatasetIndex, rows: NDArray[np.int64]) -> Pixels:
        """uint8 (N, H, W, 3): byte for byte what `predict` makes of these photos."""
        return self._get(index, rows, self._plain, 1.0)

    def training(self, index: DatasetIndex, rows: NDArray[np.int64]) -> Pixels:
        """uint8 (N, factor·H, factor·W, 3)."""
        return self._get(index, rows, self._large, self.factor)

    def _get(self, index: DatasetIndex, rows: NDArray[np.int64], store: Store, factor: float) -> Pixels:
        for used in (self._plain, self._large):  # both, or another run might remove the one not read for long
            caches.touch(used.folder)
        contents = [index.sha256[row] for row in rows]
        lacking = [row for row, content in zip(rows, contents, strict=True) if content not in store]
        if not lacking:
            return store.read(contents)
        made = self._decoded(index, lacking, factor)
        height, width = self.spec.scaled(factor)
        pixels = np.empty((len(rows), height, width, 3), dtype=np.uint8)
        stored = np.array([content in store for content in contents])
        pixels[stored] = store.read([c for c in contents if c in store]) if stored.any() else 0
        pixels[~stored] = made
        return pixels

    def _decoded(self, index: DatasetIndex, rows: Sequence[int], factor: float) -> Pixels:
        with ThreadPoolExecutor(cores()) as pool:
            return np.stack(list(pool.map(lambda row: self._decode(index, int(row), factor), rows)))

    def _decode(self, index: DatasetIndex, row: int, factor: float) -> Pixels:
        try:
            data = read_photo(index.root, index.paths[row])
            if hashlib.sha256(data).hexdigest() != index.sha256[row]:
                raise PhotoError("changed since it was indexed")
            return resize(open_photo(data, at_least=self.spec.decoded(factor)).image, self.spec, factor)
        except PhotoError as error:
            raise RunError(
                f"a photo cannot be used any more ({error.what})",
                where=index.paths[row],
                expected="photos that stay as they are while a model is trained",
                fix="train again",
            ) from None
