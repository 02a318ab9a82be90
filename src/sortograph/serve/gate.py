"""What every request passes before it reaches a route, and every answer after it: who may ask, from where,
how many at once; headers that keep a browser safe; counting."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sortograph.serve.bodies import Message, Receive
from sortograph.serve.metrics import OTHER, Metrics
from sortograph.serve.problems import BUG, HOST, ORIGIN, TOKEN, Refusal

Scope = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Pairs = Sequence[tuple[bytes, bytes]]

CSP = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "connect", "font", "manifest", "worker")),
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_SAFE = [
    (b"content-security-policy", CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=(), payment=(), usb=()"),
]
_GUARDED = ("/v1/", "/metrics")  # what a token is needed for
_LOCAL = frozenset(("localhost", "127.0.0.1", "::1"))
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_LINGER, _LEAVE = 1.0, 64 << 20  # seconds and bytes that an unwanted body may still take
_log = logging.getLogger("sortograph.serve")


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may ask.

    token: "" for none
    hosts: names that requests may be addressed to, besides those of this machine
    any_address: whether any IP address will do as a host: no name can be bound to it by others
    """

    token: str = ""
    hosts: frozenset[str] = frozenset()
    any_address: bool = False

    def check(self, path: str, given: Pairs) -> None:
        """Raises Refusal. `given`: headers as they came, their names in small letters."""
        headers = dict(given)
        hosts = [value for name, value in given if name == b"host"]
        host = hosts[0].decode("latin-1") if len(hosts) == 1 else ""
        if not self._is_ours(host):
            raise Refusal(
                HOST,
                "a request to another host",
                expected="the name or address that this server was started for",
                fix="sortograph serve MODEL --allow-host NAME",
            )
        self._check_origin(host, headers)
        if self.token and path.startswith(_GUARDED):
            self._check_token(headers.get(b"authorization", b""))

    def _is_ours(self, host: str) -> bool:
        name = _name(host)
        if name is None:
            return False
        return name in _LOCAL or name in self.hosts or (self.any_address and _is_address(name))

    def _check_origin(self, host: str, headers: dict[bytes, bytes]) -> None:
        """Browsers say which page asks. Other programs say nothing, and cannot be made to ask by a page."""
        origin = headers.get(b"origin")
        site = headers.get(b"sec-fetch-site", b"none")
        navigates = headers.get(b"sec-fetch-mode") == b"navigate"
        foreign = site in (b"cross-site", b"same-site") and not navigates
        if origin is not None:
            foreign = not _same(origin.decode("latin-1").lower(), host)
        if foreign:
            raise Refusal(
                ORIGIN,
                "a request by the page of another site",
                expected="the page of this server, or a program",
            )

    def _check_token(self, given: bytes) -> None:
        scheme, _, token = given.partition(b" ")
        right = hmac.compare_digest(token.strip(), self.token.encode())
        if scheme.lower() != b"bearer" or not right:
            raise Refusal(
                TOKEN,
                "a missing or wrong token",
                expected="the header Authorization: Bearer TOKEN",
                fix="ask whoever runs this server for its token",
            )


class Gate:
    """An ASGI application around another one."""

    def __init__(self, app: App, rules: Rules, metrics: Metrics) -> None:
        self._app, self._rules, self._metrics = app, rules, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = _Visit(receive, send, scope)
        began = time.perf_counter()
        try:
            self._rules.check(scope["path"], scope["headers"])
            await self._app(scope, visit.receive, visit.send)
        except Refusal as refusal:
            await visit.refuse(refusal)
        except Exception:
            if visit.status != BUG.status:  # else the application has told of it
                _log.exception("a bug in the server")
            await visit.refuse(bug())
        self._count(scope, visit.status, time.perf_counter() - began)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", OTHER)
        method = scope["method"] if scope["method"] in _METHODS else OTHER
        self._metrics.requests.labels(route, method, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        _log.debug("%s %s %d %.1f ms", method, route, status, 1000 * seconds)


class _Visit:
    """One request and its answer."""

    def __init__(self, receive: Receive, send: Send, scope: Scope) -> None:
        self._receive, self._send = receive, send
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        self._more = length != b"0" or b"transfer-encoding" in headers  # of the body to come
        self._asks_first = b"expect" in headers
        self.status = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._more = self._more and bool(message.get("more_body", False))
        self._asks_first = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), *_SAFE]
            if not any(name == b"cache-control" for name, _ in headers):
                headers.append((b"cache-control", b"no-store"))
            if self._more:
                await self._let_finish()
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        if self.status:  # half of another answer is under way
            return
        body = refusal.body()
        headers = [*refusal.headers(), (b"content-length", b"%d" % len(body))]
        await self.send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    async def _let_finish(self) -> None:
        """Takes some of a body that nobody wants: clients that are cut off while they send never read why."""
        if self._asks_first:
            return
        left = _LEAVE
        try:
            async with asyncio.timeout(_LINGER):
                while left > 0:
                    message = await self._receive()
                    left -= len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return
        except TimeoutError:
            return


def bug() -> Refusal:
    return Refusal(BUG, "a bug in sortograph", expected="an answer", fix="tell whoever runs this server")


def hosts(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.lower().rstrip(".") for name in names)


def _name(host: str) -> str | None:
    """The name or address in a Host header, without its port; None where it is no such thing."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    if not host or parts.path or parts.query or parts.fragment or parts.username is not None:
        return None
    return (parts.hostname or "").rstrip(".") or None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _same(origin: str, host: str) -> bool:
    """Whether a page of this origin came from this host; behind a proxy its scheme may differ."""
    scheme, separator, rest = origin.partition("://")
    ports = {"http": ":80", "https": ":443"}
    if not separator or scheme not in ports:
        return False
    ours, default = host.lower(), ports[scheme]
    return rest.removesuffix(default) == ours.removesuffix(default)
