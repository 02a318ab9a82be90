"""Uploads → pixels, in worker processes with limits of time and memory.

What comes over the network is read by decoders with a history of faults. A photo that hangs one, brings it
down or asks for too much memory costs itself alone: its worker is replaced.
"""

from __future__ import annotations

import asyncio
import io
import json
import math
import signal
import threading
from asyncio import CancelledError
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from queue import SimpleQueue
from typing import cast

import numpy as np
from PIL import Image

from sortograph.errors import PhotoError
from sortograph.images import worker as child
from sortograph.images.crew import Crew, Limits, _Chunk
from sortograph.images.decode import MAX_PIXELS, measure
from sortograph.images.preprocess import prepare
from sortograph.images.process import Alone, Process, command
from sortograph.images.worker import Job, Reading, framed
from sortograph.records import PreprocessSpec

__all__ = ["Decoders", "Reading"]

_MEMORY = 1_500_000_000  # bytes that one photo may take
_WARM = 12.0  # seconds between calls that keep idle workers from ending
_READ = b"\1"
_TINY = PreprocessSpec(size=(1, 1))
_BOOT = ("from sortograph.images.worker import main", "from sortograph.serve.decoding import main")


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
        try:
            width, height = measure(data)
            if width * height > self.most:
                raise PhotoError(
                    f"{width}×{height} pixels, above the limit of {self.most / 1e6:g} megapixels"
                )
            return _READ + b"".join(prepare(data, spec).tobytes() for spec, _ in self.sizes)
        except PhotoError as error:
            reason = error.what
        except MemoryError:
            reason = "too large to decode in memory"
        return b"\0" + reason.encode("utf-8", "backslashreplace")

    def unpack(self, reply: bytes) -> Reading:
        if not reply.startswith(_READ):
            return Job.unpack(self, reply)
        place, pixels = len(_READ), []
        for shape in self.shapes():
            size = math.prod(shape)
            pixels.append(np.frombuffer(reply, np.uint8, size, place).reshape(shape))
            place += size
        return Reading(None, "", tuple(pixels))


_packed, _unpacked = lru_cache(maxsize=8)(Upload.to_text), lru_cache(maxsize=8)(Upload.from_text)


class _Worker(Process):
    """Is sent two frames for each photo, the job and the bytes; replies as every `Process`."""

    def send(self, job: Job, paths: Sequence[str]) -> None:
        self.beat += not self.owing
        self.owing += len(paths)
        with suppress(OSError):  # it has ended: `receive` will tell
            for photo in cast("Sequence[bytes]", paths):
                self._write(framed(_packed(cast(Upload, job)).encode("ascii")))
                self._write(len(photo).to_bytes(4, "little"))
                self._write(photo)

    def _write(self, body: bytes) -> None:
        unsent = memoryview(body)
        while unsent:
            unsent = unsent[self._requests.write(unsent) :]


class _Crew(Crew):
    def new_worker(self) -> Process | Alone:
        if not self._alone:
            with suppress(OSError):
                return _Worker(_command(self.limits.memory))
            self._alone = True
        return Alone()

    def submit(self, job: Upload, photo: bytes) -> Future[list[Reading]]:
        return self._submit(_Chunk(job, cast("list[str]", [photo])))


def _command(memory: int) -> list[str]:
    return [word.replace(*_BOOT) for word in command(memory)]


class Decoders:
    """A few worker processes, kept awake. To be used from one event loop.

    count: how many; None: one for each core
    seconds: that one photo may take
    most: pixels that one photo may have
    """

    def __init__(self, count: int | None = None, seconds: float = 10.0, most: int = MAX_PIXELS) -> None:
        self._crew = _Crew(Limits(seconds, _MEMORY), count)
        self._most, self._pixel = most, _one_pixel()

    async def start(self) -> None:
        """Starts the workers, and waits for them."""
        await asyncio.gather(*(self.read(self._pixel, _TINY) for _ in range(self._crew.workers)))

    async def stay_awake(self) -> None:
        """For ever: idle workers end by themselves, and to start one takes half a second."""
        while True:
            await asyncio.sleep(_WARM)
            await self.start()

    async def read(self, photo: bytes, spec: PreprocessSpec) -> Reading:
        """The pixels that a model with this spec sees: one array, uint8 (H, W, 3), or a reason for none."""
        job = Upload(Path("/"), ((spec, 1.0),), look=False, most=self._most)
        try:
            (reading,) = await asyncio.wrap_future(self._crew.submit(job, photo))
        except CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return Reading(None, "the server is stopping", ())
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, replies = child._own_pipes()
    child._limit(memory)
    waiting: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=child._listen, args=(requests, waiting), daemon=True).start()
    with suppress(OSError):
        child._write(replies, child.READY)
        while True:
            job = _unpacked(waiting.get().decode("ascii"))
            child._write(replies, job.answer(cast(str, waiting.get())))
