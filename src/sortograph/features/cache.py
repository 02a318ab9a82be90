"""Embeddings of the photos of an index, each made once: while photos are read, or when they are asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sortograph.cores import cores
from sortograph.errors import UsageError
from sortograph.features.embedder import Embedder
from sortograph.features.intake import Intake, Line
from sortograph.features.shelf import Place, Shelf
from sortograph.features.table import facts_of, lacking, read_by_others, readers, unusable
from sortograph.features.telling import Told
from sortograph.records import DatasetIndex, FeatureTable, PhotoFacts, PreprocessSpec, Progress, silent

Pixels = NDArray[np.uint8]
Embeddings = NDArray[np.float32]
Rows = NDArray[np.int64]
Precision = Literal["float32", "float16"]
_VIEWS_AT_ONCE = 32  # views that are asked for together
_TRIES = (2, 6, 24)  # photos by which the pace is measured; the first start threads and sessions
_ATTEMPTS = 3  # the user may clear the cache meanwhile


@dataclass(frozen=True, slots=True)
class Pace:
    """photos: that were embedded, read included; seconds: that this took."""

    photos: int
    seconds: float

    @property
    def each(self) -> float:
        """Seconds for a photo: 0 where there were none to embed, infinite where there was no time for one."""
        if self.photos:
            return self.seconds / self.photos
        return float("inf") if self.seconds else 0.0


class FeatureKeeper:
    """Makes, keeps and gives embeddings of photos, joined where there are several embedders.

    precision: of the embeddings on disk; those of 16 bits are rounded to 11 significant bits
    until: the reading of time.monotonic after which photos that are read are not embedded; None for no end
    Give it to `dataset.scan` as the keeper, then `flush`, then ask for a `table`; or ask for it at once. Each
    embedder has a store of its own in the cache, shared by all runs: no photo is embedded twice.

    Its methods belong to one thread. They raise what the embedders raise, GateError for embeddings that are
    no numbers, and StorageError where neither the cache nor a temporary folder can be written.
    """

    def __init__(
        self,
        embedders: Embedder | Sequence[Embedder],
        *,
        precision: Precision = "float32",
        progress: Progress = silent,
    ) -> None:
        self.embedders = tuple(embedders) if isinstance(embedders, Sequence) else (embedders,)
        self._dtype: np.dtype[np.floating] = np.dtype(precision)
        self._progress = progress
        self.until: float | None = None
        self._place = Place(progress)
        self._specs = {embedder.spec.resize_key(): embedder.spec for embedder in self.embedders}
        self._intake = self._intake_of("")

    def _intake_of(self, view: str) -> Intake:
        suffix = view + ("" if self._dtype == np.float32 else f"-kept-{self._dtype}")
        sizes = list(self._specs)
        lines = []
        for embedder in self.embedders:
            shelf = Shelf(self._place, embedder.spec, embedder.key + suffix, embedder.width, self._dtype)
            lines.append(Line(embedder, shelf, sizes.index(embedder.spec.resize_key())))
        return Intake(lines)

    @property
    def width(self) -> int:
        """D, of all embedders together."""
        return sum(self.widths)

    @property
    def widths(self) -> tuple[int, ...]:
        """Of each embedder's embeddings, in their order."""
        return tuple(embedder.width for embedder in self.embedders)

    @property
    def source(self) -> str:
        """Names what makes the embeddings, in their order."""
        return "+".join(f"{one.spec.resize_key()}/{one.key}" for one in self.embedders)

    @property
    def sizes(self) -> tuple[tuple[PreprocessSpec, float], ...]:
        """What `keep` wants of each photo: one size for all embedders that see it alike."""
        return tuple((spec, 1.0) for spec in self._specs.values())

    def has(self, sha256: str) -> bool:
        """Whether a photo of this content need not be read: its embeddings are here, undamaged, or under way.

        Where the time is limited, what was read before is not read again for its embeddings: `embed_until`
        takes photos in a better order.
        """
        return self.until is not None or self._intake.has(sha256)

    def keep(self, facts: PhotoFacts, pixels: Sequence[Pixels]) -> None:
        """Embed a photo that was just read, its pixels in the order of `sizes`; waits while many wait."""
        if not self._late(self.until):
            self._intake.take(facts, pixels)

    def flush(self) -> None:
        """Embed what waits, unless it is late, and write what was embedded since the last time."""
        if self._late(self.until):
            self._intake.stop()
            return
        waiting = self._intake.left
        self._finish(self._intake, Told(waiting, self._progress, brought=waiting))

    @staticmethod
    def _late(until: float | None) -> bool:
        return until is not None and time.monotonic() >= until

    def _finish(self, intake: Intake, told: Told) -> None:
        intake.flush(lambda: told.waiting(intake.left))
        told.waiting(0)

    def embed(self, photos: Pixels) -> Embeddings:
        """uint8 (N, H, W, 3) → float32 (N, D), computed now and kept nowhere.

        Raises UsageError where the embedders take photos of different sizes.
        """
        self._check_one_size()
        return np.concatenate([embedder.embed(photos) for embedder in self.embedders], axis=1)

    def table(self, index: DatasetIndex, rows: Rows) -> FeatureTable:
        """Embeddings of these rows, ascending, float32 (n, D), joined in the order of the embedders.

        Photos that have none are read again. Raises RunError, once all others are embedded, for those that
        are gone or were changed since they were indexed.
        """
        self._intake.touch()
        for _ in range(_ATTEMPTS):
            if missing := lacking(index, rows, self._intake.has):
                self._embed_again(index, missing, Told(len(missing), self._progress))
        contents = [index.sha256[row] for row in rows]
        return FeatureTable(self._intake.read(contents), np.asarray(rows, dtype=np.int64), self.source)

    def lacking(self, index: DatasetIndex, rows: Rows) -> list[int]:
        """Of these rows those that have no embedding, one for each content, in their order."""
        return lacking(index, rows, self._intake.has)

    def embed_until(self, index: DatasetIndex, rows: Rows, until: float | None) -> Pace:
        """Embed photos in the order of these rows, as far as there is time; those before are here already.

        until: a reading of time.monotonic; None for no end. A batch is not begun where it would end later.
        Raises RunError for photos that are gone or were changed since they were indexed.
        """
        missing, began = self.lacking(index, rows), time.monotonic()
        if not missing:
            return Pace(0, 0.0)
        if not self._late(until):
            self._embed_again(index, missing, Told(len(missing), self._progress), until)
        made = len(missing) - len(self.lacking(index, np.array(missing, dtype=np.int64)))
        return Pace(made, max(time.monotonic() - began, 1e-9))

    def pace(self, index: DatasetIndex, rows: Rows, seconds: float) -> Pace:
        """How fast the first of these photos that have no embeddings are embedded, which are kept.

        The very first ones start what embeds and do not count; then more and more until so many seconds are
        over, which one batch may exceed.
        """
        missing, end = np.array(self.lacking(index, rows), dtype=np.int64), time.monotonic() + seconds
        pace, start = Pace(0, 0.0), 0
        for count in _TRIES:
            some = missing[start : start + count]
            if not len(some) or (start and time.monotonic() >= end):
                break
            began = time.monotonic()
            self._embed_again(index, some.tolist(), Told(len(some), silent))
            pace, start = Pace(len(some), time.monotonic() - began), start + count
        return pace

    def _embed_again(
        self, index: DatasetIndex, missing: Sequence[int], told: Told, until: float | None = None
    ) -> None:
        began = time.monotonic()
        # Threads that fill all cores decode, too: pixels that pass from process to process cost caches.
        read = readers if all(one.threads >= cores() for one in self.embedders) else read_by_others
        for taken, (row, pixels) in enumerate(zip(missing, read(index, missing, self.sizes), strict=True), 1):
            self._intake.take(facts_of(index, row), pixels)
            told.one_more(self._intake.left)
            if until is not None and self._late(until - self._last(taken, time.monotonic() - began)):
                self._intake.stop()
                break
        else:
            self._finish(self._intake, told)
        if refused := self._intake.refused():
            raise unusable(
                {index.paths[r]: refused[index.sha256[r]] for r in missing if index.sha256[r] in refused}
            )

    def _last(self, taken: int, seconds: float) -> float:
        """Seconds until what is begun will be done, at the pace so far."""
        done = taken - self._intake.left
        under_way = max(one.batch * one.threads for one in self.embedders)
        return seconds / done * under_way / 2 if done > 0 else 0.0  # half done, on average

    def embed_views(
        self,
        index: DatasetIndex,
        rows: Rows,
        pixels_of: Callable[[Rows, int], Pixels],
        view_key: str,
        views: range,
        until: float | None = None,
    ) -> Embeddings:
        """Embeddings of augmented views, float32 (V, n, D); fewer views where they are not done in time.

        pixels_of: rows (m,) and the number of a view → uint8 (m, H, W, 3), which must depend on nothing but
            the content of the photos, the number, and what `view_key` names: recipe of the views and seed
        view_key: a part of a file name; views: their numbers, of which those below others are not made again
        until: the reading of time.monotonic after which no further view is made; None for no end

        Raises UsageError where the embedders take photos of different sizes.
        """
        self._check_one_size()
        intakes = [(view, self._intake_of(f"-{view_key}-{view}")) for view in views]
        missing = [lacking(index, rows, intake.has) for _, intake in intakes]
        told = Told(sum(map(len, missing)), self._progress)
        contents = [index.sha256[row] for row in rows]
        found = np.empty((len(views), len(rows), self.width), dtype=np.float32)
        for place, ((view, intake), wanted) in enumerate(zip(intakes, missing, strict=True)):
            for start in range(0, len(wanted), _VIEWS_AT_ONCE):
                if self._late(until):
                    intake.stop()
                    return found[:place]
                chosen = np.array(wanted[start : start + _VIEWS_AT_ONCE], dtype=np.int64)
                for row, pixels in zip(chosen, pixels_of(chosen, view), strict=True):
                    intake.take(facts_of(index, int(row)), (pixels,))
                    told.one_more(intake.left)
            self._finish(intake, told)
            found[place] = intake.read(contents)
        return found

    def _check_one_size(self) -> None:
        if len(self._specs) > 1:
            raise UsageError(
                f"backbones that see photos differently: {', '.join(self._specs)}",
                expected="one size and one way of resizing for all",
                fix="--set pixels.size=224 --set pixels.resize=squash --set pixels.interpolation=bilinear",
            )
