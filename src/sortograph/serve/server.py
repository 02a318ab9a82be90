"""The process that listens: uvicorn, with time limits that it lacks and an end that drops nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sortograph.errors import UsageError
from sortograph.serve.gate import App
from sortograph.serve.limits import HEAD_BYTES, Limits
from sortograph.serve.presence import Presence
from sortograph.serve.problems import BAD_REQUEST, CLIENTS, HEAD_SIZE, Refusal
from sortograph.serve.service import Service

_SWEEP = 0.5  # seconds between looks at silent connections
_GRACE = 0.5  # seconds that it goes on to say "draining", for those that ask whether it is ready
_AGAIN = 0.5  # seconds before background work that failed begins anew
_BACKLOG = 2048
_log = logging.getLogger("sortograph.serve")


class Server:
    """One server on one socket.

    told: is called with the address once it listens
    """

    def __init__(self, app: App, service: Service, listener: socket.socket) -> None:
        self.service, self._listener = service, listener
        config = uvicorn.Config(
            app,
            http=_protocol(service),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=int(service.limits.idle) + 1,  # the sweep is what counts
            timeout_graceful_shutdown=int(2 * service.limits.seconds) + 1,
            backlog=_BACKLOG,
        )
        self._server = _Uvicorn(config)
        self._stopping: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, told: Callable[[], None] = lambda: None) -> None:
        """Serves until `stop` is called, or a signal says so; what was accepted is finished first."""
        factory = self._server.config.get_loop_factory()
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(self.serve(told))

    def stop(self) -> None:
        """May be called from any thread, and from a signal handler."""
        if self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def serve(self, told: Callable[[], None] = lambda: None) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        service = self.service
        with self._signals():
            await service.decoders.start()
            async with _running(service.shelf.watch, self._sweep):
                serving = asyncio.ensure_future(self._server.serve(sockets=[self._listener]))
                service.started = True
                told()
                await asyncio.wait(
                    [serving, asyncio.ensure_future(self._stopping.wait())],
                    return_when=asyncio.FIRST_COMPLETED,
                )
                await self._drain()
                self._server.should_exit = True
                await serving
        await asyncio.to_thread(service.decoders.close)

    async def _drain(self) -> None:
        """Goes on to answer, though no more than that it stops, until all that was accepted is answered."""
        self.service.draining = True
        _log.info("stopping: %d requests are finished first", self.service.at_work)
        loop = asyncio.get_running_loop()
        began, most = loop.time(), 2 * self.service.limits.seconds
        while (passed := loop.time() - began) < _GRACE or (self.service.at_work and passed < most):
            await asyncio.sleep(0.02)

    async def _sweep(self) -> None:
        """For ever: cuts connections that have said nothing, or have taken nothing, for too long."""
        loop = asyncio.get_running_loop()
        connections = self._server.server_state.connections
        self.service.metrics.open.set_function(lambda: len(connections))
        while True:
            await asyncio.sleep(min(_SWEEP, self.service.limits.idle / 4))
            for connection in list(connections):
                if isinstance(connection, Connection):
                    connection.sweep(loop.time(), self.service.limits.idle)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and Ctrl-C end it, SIGHUP reads the models again. In the main thread alone."""
        try:
            before = {name: signal.signal(name, self._handle) for name in _signals_known()}
        except ValueError:  # not the main thread
            yield
            return
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if number == getattr(signal, "SIGHUP", None):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._reload)
        elif number == signal.SIGINT and self.service.draining:
            raise KeyboardInterrupt
        else:
            self.stop()

    def _reload(self) -> None:
        self._reloading = asyncio.ensure_future(self.service.shelf.reload())


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are handled by `Server`."""
        yield


class Connection(HttpToolsProtocol):
    """One connection, which is cut when its client is too slow, or sends a head that is too large."""

    limits: Limits
    _silent = 0  # bytes since the last piece of a body, or whole head: the parser keeps them
    _in_head = False
    _since = 0.0  # when the client last did what it is waited for
    _unsent = 0  # bytes of the answer at that time
    _waits_for_head = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.access_log = False  # it would write down whole addresses, whatever was put into them
        self._presence = Presence()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()
        if len(self.connections) > self.limits.clients:
            self._cut(Refusal(CLIENTS, "too many connections", fix="try again in a few seconds"))

    def data_received(self, data: bytes) -> None:
        # Heads may come at any time: the next request while this one is answered, trailers behind a body.
        if self._silent > HEAD_BYTES:
            self._cut(_large_head())
        self._silent += len(data)
        if not self.transport.is_closing():
            super().data_received(data)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # else it is a trailer, which nobody reads
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._waits_for_head = self._in_head = False
        self._silent = 0
        if sum(len(name) + len(value) for name, value in self.headers) + len(self.url) > HEAD_BYTES:
            self._cut(_large_head())
            return
        self._presence.enter(self.scope["state"])
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._silent = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if not self.pipeline:  # a connection that is not read does not tell when its client leaves
            self.flow.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._presence.leave()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._waits_for_head = not self.pipeline
        self._since = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002, what uvicorn would say
        self._cut(Refusal(BAD_REQUEST, "no HTTP that can be read", expected="HTTP/1.1"))

    def sweep(self, now: float, idle: float) -> None:
        """Cut it where the client was waited for too long. Called a few times while `idle` passes."""
        unsent = self.transport.get_write_buffer_size()
        if unsent < self._unsent or (not unsent and not self._waits_for_head):
            self._since = now
        self._unsent = unsent
        if now - self._since > idle:
            self.transport.abort()

    def _cut(self, refusal: Refusal) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # it shall write nothing more
            if self.cycle.response_started:
                self.transport.abort()
                return
        body = refusal.body()
        head = [b"HTTP/1.1 %d %s" % (refusal.status, json.loads(body)["title"].encode())]
        known = [*refusal.headers(), (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
        head += [name + b": " + value for name, value in known]
        self.transport.write(b"\r\n".join([*head, b"", body]))
        self.transport.close()


def _large_head() -> Refusal:
    return Refusal(HEAD_SIZE, "a head that is too large", expected=f"at most {HEAD_BYTES} bytes")


def _protocol(service: Service) -> type[Connection]:
    return type("Limited", (Connection,), {"limits": service.limits})


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises UsageError where that cannot be."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"no address to listen at ({error.strerror or error})", where=host) from None
    try:
        if not hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # elsewhere than on Windows it means what it says
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        raise UsageError(
            f"cannot listen ({error.strerror or error})",
            where=f"{host}, port {port}",
            expected="a port that is free",
            fix="choose another one with --port; --port 0 finds one",
        ) from None
    return made


def _signals_known() -> list[signal.Signals]:
    names = ("SIGINT", "SIGTERM", "SIGBREAK", "SIGHUP")
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


@contextlib.asynccontextmanager
async def _running(*works: Callable[[], Coroutine[Any, Any, None]]) -> Any:
    """Background work that ends with the block, and not before."""
    tasks = [asyncio.ensure_future(_lasting(work)) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _lasting(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        try:
            await work()
        except Exception:
            _log.exception("a bug in the server: its background work begins anew")
            await asyncio.sleep(_AGAIN)
