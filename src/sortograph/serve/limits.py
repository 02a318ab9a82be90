"""How much a client may ask for. Safe by default, each a flag of `sortograph serve`."""

from __future__ import annotations

from dataclasses import dataclass, fields

from sortograph.errors import UsageError
from sortograph.images.decode import MAX_PIXELS

MEGABYTE = 1 << 20
HEAD_BYTES = 32 * 1024  # of a request line and its headers
TOP_K = 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """
    body     bytes of one request
    held     bytes of all requests together, while they are read and answered
    photos   in one request
    pixels   of one photo, before it is decoded
    queue    photos that wait for an answer, of all requests together; beyond it requests are turned away
    clients  open connections
    seconds  that a request may take to arrive, and again to be answered
    idle     seconds that a connection may say nothing between requests, or take nothing of an answer

    Raises UsageError for values below 1, for photos that no decoder takes, and where `held` is below `body`.
    """

    body: int = 32 * MEGABYTE
    held: int = 256 * MEGABYTE
    photos: int = 32
    pixels: int = MAX_PIXELS
    queue: int = 256
    clients: int = 256
    seconds: float = 30.0
    idle: float = 10.0

    def __post_init__(self) -> None:
        wrong = [name.name for name in fields(self) if not getattr(self, name.name) > 0]
        if wrong:
            raise UsageError(f"limits below 1: {', '.join(wrong)}", fix="sortograph serve --help")
        if self.pixels > MAX_PIXELS:
            raise UsageError(
                f"photos of {self.pixels / 1e6:g} megapixels", expected=f"at most {MAX_PIXELS / 1e6:g}"
            )
        if self.held < self.body:
            raise UsageError(
                "all requests together may hold less than one of them",
                expected=f"at least {self.body / MEGABYTE:g} MB",
                fix="raise --max-held, or lower --max-body",
            )
