"""Uploads → pixels, in worker processes with limits of time and memory.

What comes over the network is read by decoders with a history of faults. A photo that hangs one, brings it
down or asks for too much memory costs itself alone: its worker is replaced.
"""

from __future__ import annotations

import asyncio
import io
import json
import math
import time
from asyncio import CancelledError
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError as Closed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image

from sortograph.errors import PhotoCode, PhotoError
from sortograph.images.crew import Crew, Limits
from sortograph.images.decode import MAX_PIXELS, measure
from sortograph.images.preprocess import prepare
from sortograph.images.process import Alone, Process, command
from sortograph.images.worker import Job, Reading, framed, serve_pipe
from sortograph.records import PreprocessSpec

__all__ = ["Decoders", "Reading"]

_MEMORY = 1_500_000_000  # bytes that one photo may take
_AGAIN = 0.2  # seconds between tries to start a worker
_READ = b"\1"
_TINY = PreprocessSpec(size=(1, 1))


@dataclass(frozen=True, slots=True)
class Upload(Job):
    """Photos given as bytes, in the place of paths; nothing but their pixels is wanted.

    most: pixels that one photo may have
    """

    most: int = MAX_PIXELS

    def to_text(self) -> str:
        return json.dumps([Job.to_text(self), self.most])

    @classmethod
    def from_text(cls, text: str) -> Upload:
        job, most = json.loads(text)
        given = Job.from_text(job)
        return cls(given.root, given.sizes, given.look, most)

    def answer(self, path: str) -> bytes:
        data = cast(bytes, path)
        code: PhotoCode
        try:
            width, height = measure(data)
            if width * height > self.most:
                limit = f"{self.most / 1e6:g} megapixels"
                raise PhotoError(f"{width}×{height} pixels, above the limit of {limit}", code="too-large")
            return _READ + b"".join(prepare(data, spec).tobytes() for spec, _ in self.sizes)
        except PhotoError as error:
            code, reason = error.code, error.what
        except MemoryError:
            code, reason = "too-large", "too large to decode in memory"
        return f"\0{code}\n{reason}".encode("utf-8", "backslashreplace")

    def unpack(self, reply: bytes) -> Reading:
        if not reply.startswith(_READ):
            code, _, reason = reply[1:].decode("utf-8").partition("\n")
            return Reading(None, reason, (), code)
        place, pixels = len(_READ), []
        for shape in self.shapes():
            size = math.prod(shape)
            pixels.append(np.frombuffer(reply, np.uint8, size, place).reshape(shape))
            place += size
        return Reading(None, "", tuple(pixels))


_packed, _unpacked = lru_cache(maxsize=8)(Upload.to_text), lru_cache(maxsize=8)(Upload.from_text)


class _Worker(Process):
    """Is sent two frames for each photo, the job and the bytes; replies as every `Process`."""

    def bodies(self, job: Job, paths: Sequence[str]) -> Iterator[bytes]:
        for photo in cast("Sequence[bytes]", paths):
            yield framed(_packed(cast(Upload, job)).encode("ascii"))
            yield len(photo).to_bytes(4, "little")  # not framed with it: that would copy the photo
            yield photo


class _Crew(Crew):
    """proven: workers have been started before. From then on one that ends while it starts, killed by others
    or for want of memory, is always replaced: photos of strangers are never read in this process instead."""

    proven = False

    def new_process(self) -> Process:
        return _Worker(command(self.limits.memory, __name__))

    def new_worker(self) -> Process | Alone:
        """Waits where none can be started, as without room for another process. Raises Closed."""
        while self.proven:
            try:
                return self.new_process()
            except OSError:
                if not self._hands:  # nobody waits any more
                    raise Closed from None
                time.sleep(_AGAIN)
        return super().new_worker()

    def lost(self, worker: Process | Alone) -> None:
        if not self.proven:
            super().lost(worker)
        elif not worker.ready:
            time.sleep(_AGAIN)


class Decoders:
    """A few worker processes, kept awake. To be used from one event loop.

    count: how many; None: one for each core
    seconds: that one photo may take
    most: pixels that one photo may have
    """

    def __init__(self, count: int | None = None, seconds: float = 10.0, most: int = MAX_PIXELS) -> None:
        # Idle workers stay: to start one takes half a second.
        self._crew = _Crew(Limits(seconds, _MEMORY), count, idle=None)
        self._most, self._pixel = most, _one_pixel()

    async def start(self) -> None:
        """Starts the workers, and waits for them."""
        await asyncio.gather(*(self.read(self._pixel, _TINY) for _ in range(self._crew.workers)))
        self._crew.proven = bool(self.pids())

    async def read(self, photo: bytes, spec: PreprocessSpec) -> Reading:
        """The pixels that a model with this spec sees: one array, uint8 (H, W, 3), or a reason for none."""
        job = Upload(Path("/"), ((spec, 1.0),), look=False, most=self._most)
        try:
            (reading,) = await asyncio.wrap_future(self._crew.submit(job, cast("list[str]", [photo])))
        except CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return Reading(None, "the server is stopping", (), "stopping")
        return reading

    def pids(self) -> list[int]:
        """Process ids of the workers that run now."""
        return self._crew.pids()

    def close(self) -> None:
        self._crew.close()


def _one_pixel() -> bytes:
    made = io.BytesIO()
    Image.new("L", (1, 1)).save(made, "PNG")
    return made.getvalue()


def main(memory: int) -> None:
    """The life of a worker process: `images.worker.main` for photos that come as bytes."""
    serve_pipe(memory, _answers)


def _answers(next_body: Callable[[], bytes]) -> Iterator[bytes]:
    while True:
        job = _unpacked(next_body().decode("ascii"))
        yield job.answer(cast(str, next_body()))
