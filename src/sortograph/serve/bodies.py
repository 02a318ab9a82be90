"""Bodies of requests: read within limits of size and time, taken apart in memory, never written anywhere."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from sortograph.errors import counted
from sortograph.serve.limits import MEGABYTE, Limits
from sortograph.serve.problems import BODY_SIZE, BUSY, MEDIA, MULTIPART, PARTS, SLOW, Refusal

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Headers = dict[bytes, bytes]

FORM = b"multipart/form-data"
_FIELDS = 8  # parts of a form that are no photos
_NAME = 255


@dataclass(slots=True)
class Part:
    """One part of a form. `filename` is the last part of it, "" for a plain field."""

    name: str
    filename: str
    data: bytes


class Held:
    """Bytes of all requests that are being read or answered."""

    def __init__(self, most: int) -> None:
        self.most, self.now = most, 0

    @contextmanager
    def share(self) -> Iterator[Share]:
        """For one request: what it takes is given back in the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self.now -= share.taken


@dataclass(slots=True)
class Share:
    held: Held
    taken: int = 0

    def take(self, count: int) -> None:
        """Raises Refusal when all requests together hold too much."""
        self.taken += count
        self.held.now += count
        if self.held.now > self.held.most:
            raise Refusal(BUSY, "too many large requests at once", fix="try again in a moment")


class Client(Exception):
    """The client went away: there is nobody to answer."""


async def read_body(headers: Headers, receive: Receive, limits: Limits, share: Share) -> bytes:
    """All of a body. Raises Refusal when it is too large, too slow or packed."""
    body = bytearray()
    async for chunk in _chunks(headers, receive, limits, share):
        body += chunk
    return bytes(body)


async def read_form(headers: Headers, receive: Receive, limits: Limits, share: Share) -> list[Part]:
    """The parts of a form, in their order. Raises Refusal, also for what is no form."""
    form = _Form(_boundary(headers), limits.photos + _FIELDS)
    async for chunk in _chunks(headers, receive, limits, share):
        form.feed(chunk)
    return form.finish()


def media_type(headers: Headers) -> bytes:
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


async def _chunks(headers: Headers, receive: Receive, limits: Limits, share: Share) -> AsyncIterator[bytes]:
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise Refusal(MEDIA, "a packed body", expected="a body without Content-Encoding")
    declared = headers.get(b"content-length", b"0")
    if not declared.isdigit() or len(declared) > 18 or int(declared) > limits.body:
        raise _too_large(limits)
    total, ends = 0, asyncio.get_running_loop().time() + limits.seconds
    while True:
        message = await _next(receive, ends)
        chunk: bytes = message.get("body", b"")
        total += len(chunk)
        if total > limits.body:
            raise _too_large(limits)
        share.take(len(chunk))
        yield chunk
        if not message.get("more_body", False):
            return


async def _next(receive: Receive, ends: float) -> Message:
    try:
        async with asyncio.timeout_at(ends):
            message = await receive()
    except TimeoutError:
        raise Refusal(SLOW, "the request took too long to arrive", fix="send smaller photos") from None
    if message["type"] == "http.disconnect":
        raise Client
    return message


def _too_large(limits: Limits) -> Refusal:
    return Refusal(
        BODY_SIZE,
        "the request is too large",
        expected=f"at most {limits.body / MEGABYTE:g} MB",
        fix="send fewer or smaller photos",
    )


def _boundary(headers: Headers) -> bytes:
    _, options = parse_options_header(headers.get(b"content-type", b""))
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        raise Refusal(MULTIPART, "a form without a boundary that can be used", expected="1 to 70 characters")
    return boundary


@dataclass(slots=True)
class _Open:
    """A part that is being read."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    name: bytes = b""
    value: bytes = b""
    data: bytearray = field(default_factory=bytearray)


class _Form:
    """Takes a form apart while it arrives."""

    def __init__(self, boundary: bytes, most: int) -> None:
        self._start, self._most = b"--" + boundary, most
        self._head = b""
        self._parts: list[Part] = []
        self._part = _Open()
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_end": self._over,
            },
        )

    def feed(self, chunk: bytes) -> None:
        self._check_start(chunk)
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise _no_form() from None

    def finish(self) -> list[Part]:
        if not self._ended:
            raise _no_form()
        return self._parts

    def _check_start(self, chunk: bytes) -> None:
        """Nothing may stand before the first boundary: the parser would pass over megabytes of it."""
        if len(self._head) < len(self._start):
            self._head = (self._head + chunk)[: len(self._start)]
            if not self._start.startswith(self._head):
                raise _no_form()

    def _begin(self) -> None:
        if len(self._parts) >= self._most:
            raise Refusal(
                PARTS,
                "a form with too many parts",
                expected=f"at most {counted(self._most - _FIELDS, 'photo')}",
                fix="send several requests",
            )
        self._part = _Open()

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._part.data += data[start:end]

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._part.name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._part.value += data[start:end]

    def _header_end(self) -> None:
        self._part.headers[self._part.name.lower()] = self._part.value
        self._part.name = self._part.value = b""

    def _end(self) -> None:
        _, options = parse_options_header(self._part.headers.get(b"content-disposition", b""))
        name, filename = options.get(b"name"), options.get(b"filename")
        if name is None:
            raise Refusal(MULTIPART, "a part of the form without a name")
        data, self._part.data = self._part.data, bytearray()
        self._parts.append(Part(_text(name), _last(_text(filename or b"")), bytes(data)))

    def _over(self) -> None:
        self._ended = True


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def _last(filename: str) -> str:
    """
    >>> _last("C:\\\\photos\\\\a.jpg"), _last("../../etc/passwd")
    ('a.jpg', 'passwd')
    """
    return re.split(r"[\\/]", filename)[-1][:_NAME]


def _no_form() -> Refusal:
    return Refusal(
        MULTIPART, "the body is no form that can be read", expected="multipart/form-data (RFC 7578), complete"
    )
