"""What went wrong, as a client is told: `application/problem+json` (RFC 9457), in the words of errors.py.

An answer holds no path, address or trace: only what a `Refusal` says is ever sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from sortograph.errors import UsageError

MEDIA_TYPE = "application/problem+json"
Headers = list[tuple[bytes, bytes]]
More = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of refusal: the status of HTTP, a name for programs, and after how many seconds to try again."""

    status: int
    code: str
    retry: int = 0


MULTIPART, NO_PHOTO, PARAMETER = Kind(400, "multipart"), Kind(400, "no-photo"), Kind(400, "parameter")
BAD_REQUEST, LATE = Kind(400, "request"), Kind(503, "late", 2)
TOKEN, NO_TOKEN = Kind(401, "token"), Kind(403, "no-token")
HOST, ORIGIN = Kind(403, "host"), Kind(403, "origin")
NOT_FOUND, NO_MODEL = Kind(404, "not-found"), Kind(404, "no-such-model")
CORRECTIONS_OFF, METHOD = Kind(404, "corrections-off"), Kind(405, "method")
SLOW, BODY_SIZE, PARTS = Kind(408, "slow"), Kind(413, "body-too-large"), Kind(413, "too-many-parts")
MEDIA, PHOTO, LABEL = Kind(415, "media-type"), Kind(422, "photo"), Kind(422, "label")
HEAD_SIZE = Kind(431, "head-too-large")
BUSY, BUG = Kind(429, "busy", 1), Kind(500, "bug")
DRAINING, CLIENTS, MODEL = Kind(503, "draining", 5), Kind(503, "clients", 2), Kind(503, "model", 2)
STORAGE = Kind(507, "storage")


class Refusal(UsageError):
    """A request that is turned away. `more` holds further members of the answer.

    >>> Refusal(NO_PHOTO, "a request without a photo", expected="one or more").status
    400
    """

    def __init__(
        self,
        kind: Kind,
        what: str,
        *,
        expected: str = "",
        fix: str = "",
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(what, expected=expected, fix=fix)
        self.kind, self.more = kind, more or {}

    @property
    def status(self) -> int:
        return self.kind.status

    def body(self) -> bytes:
        """The answer as JSON, in ASCII."""
        known = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.kind.code,
            "detail": self.what,
            "expected": self.expected,
            "fix": self.fix,
        }
        return json.dumps({**known, **self.more}).encode("ascii")

    def headers(self) -> Headers:
        """Those of HTTP that go with it, its type and length included."""
        made = [(b"content-type", MEDIA_TYPE.encode()), (b"cache-control", b"no-store")]
        if self.kind.retry:
            made.append((b"retry-after", b"%d" % self.kind.retry))
        if self.kind is TOKEN:
            made.append((b"www-authenticate", b"Bearer"))
        return made
