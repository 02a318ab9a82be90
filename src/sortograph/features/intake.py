"""From pixels to kept embeddings: batches, and threads beside the one that brings the photos."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sortograph.errors import GateError, PhotoError
from sortograph.features.embedder import Embedder
from sortograph.features.shelf import Shelf
from sortograph.features.threads import Threads
from sortograph.loading.store import Stored
from sortograph.records import PhotoFacts

Pixels = NDArray[np.uint8]
Embeddings = NDArray[np.float32]
Read = Callable[[], Sequence[Pixels]]  # the pixels of a photo, one for each size; raises PhotoError
# What a run that is killed loses at the most; more often, waiting for the disk would be felt.
_WRITE_PHOTOS, _WRITE_SECONDS = 512, 5.0
_AHEAD = 2  # batches per thread that wait for it


@dataclass(frozen=True, slots=True)
class Line:
    """One embedder and where its embeddings lie; `size`: which of the pixels of a photo it takes."""

    embedder: Embedder
    shelf: Shelf
    size: int = 0


@dataclass(frozen=True, slots=True)
class _Photo:
    """`lacking`: numbers of the lines that have no embedding of it."""

    facts: PhotoFacts
    pixels: Sequence[Pixels] | Read
    lacking: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Made:
    """Embeddings of a batch by line, and the contents that are done with; no pixels, which are large."""

    contents: frozenset[str]
    embeddings: Mapping[int, Sequence[Stored]]


class Intake:
    """Embeds photos as they come, and keeps what was made. One thread alone may call it."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = tuple(lines)
        self._count = max(line.embedder.threads for line in lines)
        self._size = max(line.embedder.batch for line in lines)
        self._threads = Threads(self._count, _AHEAD * self._count)
        self._made: deque[_Made] = deque()
        self._batch: list[_Photo] = []
        self._refused: list[tuple[str, str]] = []
        self._under_way: set[str] = set()
        self._written = time.monotonic()

    def has(self, sha256: str) -> bool:
        """Whether all embeddings of this content are here, or will be after `flush`."""
        return sha256 in self._under_way or all(sha256 in line.shelf for line in self.lines)

    @property
    def left(self) -> int:
        """Photos that were taken and are not embedded yet."""
        return max(0, len(self._under_way) - self._unwritten())

    def _unwritten(self) -> int:
        return sum(len(made.contents) for made in list(self._made))

    def take(self, facts: PhotoFacts, pixels: Sequence[Pixels] | Read) -> None:
        """One photo, uint8 (H, W, 3) for each size. Waits while the threads have enough to do.

        pixels: or what reads them, on the thread that embeds them; `refused` tells where it cannot

        Raises what has failed since the last call, GateError for embeddings that are no numbers, and
        StorageError where nothing can be written.
        """
        if self.has(facts.sha256):
            return
        content = facts.sha256
        lacking = frozenset(n for n, line in enumerate(self.lines) if content not in line.shelf)
        self._under_way.add(content)
        self._batch.append(_Photo(facts, pixels, lacking))
        if len(self._batch) >= self._size:
            self._hand_over(self._size)
        late = time.monotonic() - self._written > _WRITE_SECONDS
        if (count := self._unwritten()) >= _WRITE_PHOTOS or (count and late):
            self._write()

    def flush(self, tell: Callable[[], None] = lambda: None) -> None:
        """Embed and write all that was taken; `tell` is called now and then meanwhile. Raises as `take`."""
        self._hand_over(math.ceil(len(self._batch) / self._count))
        self._guarded(partial(self._threads.wait, tell))
        self._write()

    def refused(self) -> dict[str, str]:
        """Contents that could not be read since this was asked, each with the reason."""
        refused, self._refused = self._refused, []
        return dict(refused)

    def stop(self) -> None:
        """Write what is embedded; of the rest, end what is begun and forget what is not. Raises as `take`."""
        self._threads.drop()
        self._batch.clear()
        self._guarded(partial(self._threads.wait, lambda: None))
        self._write()
        self._under_way.clear()

    def read(self, contents: Sequence[str]) -> Embeddings:
        """float32 (n, D₁ + D₂ + …), in the order of the lines."""
        return np.concatenate([line.shelf.read(contents) for line in self.lines], axis=1)

    def touch(self) -> None:
        for line in self.lines:
            line.shelf.touch()

    def _hand_over(self, size: int) -> None:
        batch, self._batch = self._batch, []
        for start in range(0, len(batch), max(1, size)):
            work = partial(self._embed, batch[start : start + size])
            self._guarded(partial(self._threads.submit, work))

    def _guarded(self, call: Callable[[], None]) -> None:
        """What fails, or is interrupted, costs the photos that nobody has embedded yet."""
        try:
            call()
        except BaseException:
            self._threads.drop()
            self._batch.clear()
            self._write()
            self._under_way.clear()
            raise

    def _embed(self, photos: Sequence[_Photo]) -> None:
        """On a thread of its own."""
        made, read = {}, [(photo, pixels) for photo in photos if (pixels := self._pixels(photo))]
        for number, line in enumerate(self.lines):
            chosen = [(photo.facts, pixels) for photo, pixels in read if number in photo.lacking]
            if chosen:
                values = line.embedder.embed(np.stack([pixels[line.size] for _, pixels in chosen]))
                kept = _checked(values, line.shelf.dtype)
                made[number] = [Stored(facts, value) for (facts, _), value in zip(chosen, kept, strict=True)]
        self._made.append(_Made(frozenset(photo.facts.sha256 for photo in photos), made))

    def _pixels(self, photo: _Photo) -> Sequence[Pixels]:
        """None of a photo that cannot be read."""
        if not callable(photo.pixels):
            return photo.pixels
        try:
            return photo.pixels()
        except PhotoError as error:
            self._refused.append((photo.facts.sha256, error.what))
            return ()

    def _write(self) -> None:
        done = [self._made.popleft() for _ in range(len(self._made))]
        for number, line in enumerate(self.lines):
            if stored := [one for made in done for one in made.embeddings.get(number, ())]:
                line.shelf.append(stored)
        self._under_way.difference_update(*(made.contents for made in done))
        self._written = time.monotonic()


def _checked(values: Embeddings, dtype: np.dtype[np.floating]) -> NDArray[np.floating]:
    with np.errstate(over="ignore"):
        kept = values.astype(dtype, copy=False)
    if np.isfinite(kept).all():
        return kept
    if np.isfinite(values).all():
        raise GateError(
            f"embeddings of up to {np.abs(values).max():.3g} do not fit into 16 bits",
            expected=f"at most {np.finfo(dtype).max:.3g}",
            fix="--set backbone.precision=float32",
        )
    raise GateError(
        "the backbone makes embeddings that are no numbers", expected="another backbone, or weights"
    )
