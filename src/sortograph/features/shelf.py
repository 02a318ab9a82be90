"""Where embeddings lie: in the cache, or in a folder of this run's own where the cache cannot take them."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sortograph import caches
from sortograph.errors import StorageError
from sortograph.images.decode import contract
from sortograph.loading.store import Store, Stored
from sortograph.records import PreprocessSpec, Progress, Said

Embeddings = NDArray[np.float32]


class Place:
    """The cache folder, and what to do once it is full or cannot be written."""

    def __init__(self, progress: Progress) -> None:
        self.folder = caches.cache_folder()
        self.temporary: Path | None = None
        self.used: set[Path] = set()
        self._progress = progress

    def has_room(self, needed: int) -> bool:
        """Whether the cache can take as many bytes more; makes room where it must."""
        return caches.make_room(self.folder, needed, tuple(self.used))

    def full(self) -> None:
        size = caches.limit(self.folder) / 1e9
        self._leave(
            f"the cache is full ({size:.1f} GB): embeddings that are new are made again by the next run. "
            "`sortograph cache clear` makes room, SORTOGRAPH_CACHE chooses another place"
        )

    def refused(self, error: StorageError) -> None:
        """Told of a place that cannot be written. Raises the error for the second one."""
        if self.temporary is not None:
            raise error
        self._leave(f"the cache is not used: {error.what}: {error.where}")

    def _leave(self, reason: str) -> None:
        self.temporary = Path(tempfile.mkdtemp(prefix="sortograph-"))
        weakref.finalize(self, shutil.rmtree, self.temporary, ignore_errors=True)
        self._progress(Said(reason, warning=True))


class Shelf:
    """Embeddings of one kind, by the content of the photo.

    name: of embedder and view; width: D; dtype: float16 or float32, as they are kept
    """

    def __init__(
        self, place: Place, spec: PreprocessSpec, name: str, width: int, dtype: np.dtype[np.floating]
    ) -> None:
        self._place, self.width, self.dtype = place, width, dtype
        self._path = Path("features", contract(), spec.resize_key(), name)
        self._kept = self._store(place.folder)
        self._aside: Store | None = None  # what the cache could not take
        place.used.add(self._kept.folder)
        self.touch()

    def _store(self, folder: Path) -> Store:
        return Store(folder / self._path, (self.width,), self.dtype)

    def __contains__(self, sha256: str) -> bool:
        return sha256 in self._kept or (self._aside is not None and sha256 in self._aside)

    def touch(self) -> None:
        """Marks it as used now, so that no other run removes it to make room."""
        caches.touch(self._kept.folder)

    def read(self, contents: Sequence[str]) -> Embeddings:
        """float32 (n, D). Raises KeyError for contents that are not here."""
        if self._aside is None:
            return self._kept.read(contents).astype(np.float32, copy=False)
        found = np.empty((len(contents), self.width), dtype=np.float32)
        here = np.array([content in self._kept for content in contents], dtype=np.bool_)
        for store, mask in ((self._kept, here), (self._aside, ~here)):
            if mask.any():
                found[mask] = store.read(
                    [content for content, wanted in zip(contents, mask, strict=True) if wanted]
                )
        return found

    def append(self, photos: Sequence[Stored]) -> None:
        """Keep embeddings. Raises StorageError where neither the cache nor a temporary folder takes them."""
        if self._place.temporary is None and not self._place.has_room(len(photos) * self._kept.record):
            self._place.full()
        if self._place.temporary is None:
            try:
                self._kept.append(photos)
            except StorageError as error:
                self._place.refused(error)
            else:
                self.touch()  # embedding may take hours
                return
        self._put_aside(photos)

    def _put_aside(self, photos: Sequence[Stored]) -> None:
        assert self._place.temporary is not None
        if self._aside is None:
            self._aside = self._store(self._place.temporary)
        self._aside.append(photos)
