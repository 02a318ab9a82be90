"""Models by name, opened for serving, and opened again when their files change."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sortograph.bundle.doubts import doubts
from sortograph.bundle.reading import FILE_NAME, bundle_file
from sortograph.classify import Classifier, load
from sortograph.errors import BundleError, SortographError, nearest
from sortograph.records import BundleManifest, Prediction
from sortograph.serve.batching import Desk
from sortograph.serve.problems import NO_MODEL, Refusal

Pixels = NDArray[np.uint8]
Stamp = tuple[int, int, int]

POLL = 1.0  # seconds between looks at the files
_SIZES = (4, 16)  # of batches that are tried besides single photos
_WORTH = 1.15  # how much faster a larger batch must be for each photo, and several cores for one
_TRIALS, _ENOUGH = 20, 0.4  # runs of one size, at most; seconds after which there are no more
_log = logging.getLogger("sortograph.serve")


@dataclass(frozen=True, slots=True)
class Source:
    """A model's name, its file or run folder, and how it is opened.

    lanes: batches that are answered at once
    """

    name: str
    path: Path
    lanes: int
    max_error: float | None = None


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What became of models that were to be read again; `failed` has (name, reason)."""

    reloaded: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


class Model:
    """An open model.

    It is open twice: `lone` answers a photo that is alone with all cores, where that is faster, and `crowd`
    answers a batch on each core by itself. So a single client waits least, and many get the most answers.
    Raises what `load` raises.
    """

    def __init__(self, source: Source) -> None:
        self.source, self.stamp = source, stamp(source.path)
        self.crowd = load(source.path, threads=1, max_error=source.max_error)
        self.lone = self.crowd if source.lanes == 1 else self._faster(self._wide())
        self.doubts = doubts(self.manifest, source.max_error, str(source.path))
        self.loaded = datetime.now(UTC).replace(microsecond=0)
        self.desk = Desk(self._answer, source.lanes, best_batch(self.crowd))
        self.users, self.retired = 0, False

    def _wide(self) -> Classifier:
        lone = load(self.source.path, max_error=self.source.max_error)
        if lone.bundle.sha256 != self.crowd.bundle.sha256:
            raise BundleError("changed while it was opened", where=str(self.source.path))
        return lone

    def _faster(self, lone: Classifier) -> Classifier:
        """Several cores are not worth it for a small model, nor on a machine that has much else to do."""
        sides = lone.manifest.preprocess.size
        return lone if _seconds(lone, 1, sides) * _WORTH < _seconds(self.crowd, 1, sides) else self.crowd

    def _answer(self, pixels: Sequence[Pixels], alone: bool) -> list[Prediction]:
        classifier = self.lone if alone else self.crowd
        return classifier.answers_for(pixels, [""] * len(pixels), len(classifier.classes))

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def manifest(self) -> BundleManifest:
        return self.crowd.manifest

    @property
    def sha256(self) -> str:
        return self.crowd.bundle.sha256


class Shelf:
    """The models that are served; the first is the default. Raises what opening them raises.

    told: is called with a model's name and whether reading it again went well
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._models = {source.name: Model(source) for source in sources}
        self._lock = asyncio.Lock()
        self._refused: dict[str, Stamp] = {}
        self.told: Callable[[str, bool], None] = lambda *_: None
        self.opened: Callable[[Model], None] = lambda _: None

    @property
    def default(self) -> str:
        return next(iter(self._models))

    def all(self) -> list[Model]:
        return list(self._models.values())

    def get(self, name: str | None) -> Model:
        """Raises Refusal for a name that is not known."""
        model = self._models.get(self.default if name is None else name)
        if model is None:
            known = ", ".join(self._models)
            raise Refusal(
                NO_MODEL, f"no such model{nearest(name or '', self._models)}", expected=f"one of: {known}"
            )
        return model

    @contextmanager
    def lease(self, name: str | None) -> Iterator[Model]:
        """A model that stays open for as long as the request needs it. Raises as `get`."""
        model = self.get(name)
        model.users += 1
        try:
            yield model
        finally:
            model.users -= 1
            _close_unused(model)

    async def reload(self) -> Reloaded:
        """Reads all models again. One that cannot be opened stays as it is."""
        return await self._read([model.source for model in self.all()])

    async def watch(self, poll: float = POLL) -> None:
        """For ever: reads models again whose files have changed, or whose answers have failed."""
        seen: dict[str, Stamp] = {}
        while True:
            await asyncio.sleep(poll)
            now = {model.name: stamp(model.source.path) for model in self.all()}
            due = [model.source for model in self.all() if self._is_due(model, now, seen)]
            seen = now
            if due:
                await self._read(due)

    def _is_due(self, model: Model, now: dict[str, Stamp], seen: dict[str, Stamp]) -> bool:
        current = now[model.name]
        model.desk.check()
        if model.desk.broken:
            return True
        changed = current not in (model.stamp, self._refused.get(model.name))
        return changed and current == seen.get(model.name)  # and is no longer written to

    async def _read(self, sources: Sequence[Source]) -> Reloaded:
        async with self._lock:
            found = [(source.name, await self._read_one(source)) for source in sources]
        return Reloaded(
            tuple(name for name, outcome in found if outcome is True),
            tuple(name for name, outcome in found if outcome is False),
            tuple((name, outcome) for name, outcome in found if isinstance(outcome, str)),
        )

    async def _read_one(self, source: Source) -> bool | str:
        """Whether there is a new one, or why it could not be opened."""
        now, old = stamp(source.path), self._models[source.name]
        try:
            new = await asyncio.to_thread(Model, source)
        except Exception as error:  # whatever a file can cause: the old model goes on
            what = error.what if isinstance(error, SortographError) else "it cannot be opened"
            self._refused[source.name] = now
            self.told(source.name, False)
            _log.warning("model %s was not read again: %s", source.name, what)
            _log.debug("why", exc_info=error)
            return what
        if new.sha256 == old.sha256 and not old.desk.broken:
            old.stamp = new.stamp
            new.desk.close()
            return False
        self.opened(new)
        self._models[source.name], old.retired = new, True
        _close_unused(old)
        self.told(source.name, True)
        _log.info("model %s was read again: %s", source.name, new.sha256[:16])
        return True


def sources(paths: Sequence[Path], lanes: int, max_error: float | None) -> list[Source]:
    """Each model with a name of its own: that of its file, or of its run folder."""
    found: dict[str, Source] = {}
    for path in paths:
        stem = name = _stem(path)
        number = 1
        while name in found:
            number += 1
            name = f"{stem}-{number}"
        found[name] = Source(name, path, lanes, max_error)
    return list(found.values())


def stamp(path: Path) -> Stamp:
    """What changes when the file of a model does; zeros where there is none."""
    try:
        status = bundle_file(path).stat()
    except (OSError, BundleError):
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def best_batch(classifier: Classifier) -> int:
    """How many photos at once are answered fastest, each for itself: measured, since models differ."""
    height, width = classifier.manifest.preprocess.size
    best, least = 1, _seconds(classifier, 1, (height, width))
    for size in _SIZES:
        each = _seconds(classifier, size, (height, width)) / size
        if each * _WORTH > least:
            break
        best, least = size, each
    return best


def _seconds(classifier: Classifier, size: int, sides: tuple[int, int]) -> float:
    """Of the fastest run: the others were disturbed."""
    photos = np.zeros((size, *sides, 3), np.uint8)
    found: list[float] = []
    ends = time.perf_counter() + _ENOUGH
    classifier.bundle.run(photos)  # sets memory aside
    while not found or (len(found) < _TRIALS and time.perf_counter() < ends):
        began = time.perf_counter()
        classifier.bundle.run(photos)
        found.append(time.perf_counter() - began)
    return min(found)


def _close_unused(model: Model) -> None:
    if model.retired and not model.users:
        model.desk.close()


def _stem(path: Path) -> str:
    where = Path(os.path.abspath(path))  # noqa: PTH100, a name is wanted, not where links lead
    if where.name == FILE_NAME:
        where = where.parent
        return where.name or "model"
    return where.name if where.is_dir() else where.stem
