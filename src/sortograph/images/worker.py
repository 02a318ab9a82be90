"""A process that reads photos for `images.crew`: no photo can take the program down or hold it up.

What both ends say to each other: a length (4 bytes, little endian), then as many bytes; no pickle. A request
is JSON: a job, and the photos to read. Every photo has its reply, by `Job.answer`, for `Job.unpack`.
The process ends when its standard input does, so that it never outlives the one that started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from sortograph.errors import PhotoError
from sortograph.images.inspect import facts_of, hash_of, read_photo
from sortograph.images.look import CANONICAL
from sortograph.images.photo import Photo
from sortograph.images.preprocess import resize
from sortograph.records import PhotoFacts, PreprocessSpec
from sortograph.records.looks import LOOK

Pixels = NDArray[np.uint8]
READY = b"sortograph"
_LENGTH = struct.Struct("<I")
_FACTS = struct.Struct("<B32sII")  # a kind, content hash, width, height
_REFUSED, _SEEN, _UNSEEN = b"\0", 1, 2
_TOO_LARGE = "too large to decode in memory"


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of one photo.

    facts   None when it was refused; without a look when none was asked for
    reason  why it was refused, else ""
    pixels  uint8 (h, w, 3), one for each size that was asked for; () when it was refused
    code    the kind of reason, of `errors.PHOTO_CODES`, from crews and uploads; else ""
    """

    facts: PhotoFacts | None
    reason: str
    pixels: tuple[Pixels, ...]
    code: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """What to do with every photo of one reading. `sizes` are specs with factors, as `resize` takes."""

    root: Path
    sizes: tuple[tuple[PreprocessSpec, float], ...] = ()
    look: bool = True

    def to_text(self) -> str:
        sizes = [(spec.to_json(), factor) for spec, factor in self.sizes]
        return json.dumps({"root": str(self.root), "sizes": sizes, "look": self.look})

    @classmethod
    def from_text(cls, text: str) -> Job:
        given = json.loads(text)
        sizes = tuple((PreprocessSpec.from_json(spec), factor) for spec, factor in given["sizes"])
        return cls(Path(given["root"]), sizes, given["look"])

    def shapes(self) -> list[tuple[int, int, int]]:
        return [(*spec.scaled(factor), 3) for spec, factor in self.sizes]

    def bytes_each(self) -> int:
        """Of the pixels that every photo gives."""
        return sum(height * width * depth for height, width, depth in self.shapes())

    def answer(self, path: str) -> bytes:
        """Read one photo: its facts and pixels, or the reason why there are none, as bytes."""
        try:
            return b"".join(self._parts(read_photo(self.root, path)))
        except PhotoError as error:
            reason = error.what
        except MemoryError:
            reason = _TOO_LARGE
        return _REFUSED + reason.encode("utf-8", "backslashreplace")

    def _parts(self, data: bytes) -> Iterator[bytes]:
        photo, targets = Photo(data), [spec.decoded(factor) for spec, factor in self.sizes]
        if self.look:
            facts = facts_of(data, photo)
        else:
            photo.at(targets[0] if targets else CANONICAL)  # headers alone pass damaged files
            facts = PhotoFacts(hash_of(data), *photo.size)
        look = b"" if facts.look is None else facts.look.tobytes()
        kind = _SEEN if look else _UNSEEN
        yield _FACTS.pack(kind, bytes.fromhex(facts.sha256), facts.width, facts.height) + look
        for (spec, factor), target in zip(self.sizes, targets, strict=True):
            yield resize(photo.at(target).image, spec, factor).tobytes()

    def unpack(self, reply: bytes) -> Reading:
        if reply.startswith(_REFUSED):
            return Reading(None, reply[1:].decode("utf-8"), ())
        kind, content, width, height = _FACTS.unpack_from(reply)
        place, look = _FACTS.size, None
        if kind == _SEEN:
            # Copied: a view would keep the pixels in memory for as long as the facts.
            look = np.frombuffer(reply, LOOK, 1, place).reshape(()).copy()
            place += LOOK.itemsize
        pixels = []
        for shape in self.shapes():
            size = shape[0] * shape[1] * 3
            pixels.append(np.frombuffer(reply, np.uint8, size, place).reshape(shape))
            place += size
        return Reading(PhotoFacts(content.hex(), width, height, look), "", tuple(pixels))


def request(job: Job, paths: Sequence[str]) -> bytes:
    """Names may hold anything: JSON escapes what is no UTF-8."""
    return framed(json.dumps([_packed(job), paths]).encode("ascii"))


def framed(body: bytes) -> bytes:
    return _LENGTH.pack(len(body)) + body


def receive(pipe: BinaryIO) -> bytes | None:
    """The next body; None when the other end is gone."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    body = pipe.read(length)
    return body if len(body) == length else None


def main(memory: int) -> None:
    """Answer requests until standard input ends.

    memory: bytes that decoding may take above what the process has taken to start
    """
    serve_pipe(memory, _answers)


def serve_pipe(memory: int, answers: Callable[[Callable[[], bytes]], Iterator[bytes]]) -> None:
    """The life of a worker process.

    memory: as for `main`
    answers: from what gives the next body that came, and waits for it, to a reply for each photo
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one decides
    requests, replies = _own_pipes()
    _limit(memory)
    waiting: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(requests, waiting), daemon=True).start()
    with contextlib.suppress(OSError):  # nobody is left to read what is written
        _write(replies, READY)
        for reply in answers(waiting.get):
            _write(replies, reply)


def _answers(next_body: Callable[[], bytes]) -> Iterator[bytes]:
    while True:
        job, paths = json.loads(next_body())
        for path in paths:
            yield _unpacked(job).answer(path)


# The same for all photos of one reading.
_packed, _unpacked = lru_cache(maxsize=4)(Job.to_text), lru_cache(maxsize=4)(Job.from_text)


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output under other numbers: what libraries print goes nowhere."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)
    return requests, replies


def _listen(pipe: BinaryIO, waiting: SimpleQueue[bytes]) -> None:
    """Takes requests at once, so that the other end never waits while it writes one."""
    while (body := receive(pipe)) is not None:
        waiting.put(body)
    os._exit(0)


def _write(pipe: BinaryIO, body: bytes) -> None:
    pipe.write(framed(body))
    pipe.flush()


def _limit(memory: int) -> None:
    """Limits the address space where the system counts it, which is Linux; and writes no core files."""
    if sys.platform != "linux":
        return
    import resource

    try:
        taken = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except OSError:
        return
    for what, most in ((resource.RLIMIT_AS, taken + memory), (resource.RLIMIT_CORE, 0)):
        soft, hard = resource.getrlimit(what)
        lower = most if soft == resource.RLIM_INFINITY else min(most, soft)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(what, (lower, hard))
