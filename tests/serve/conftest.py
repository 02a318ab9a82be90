"""Servers on loopback with a small model, and photos whose answers can be worked out."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve_tools import TOKEN, rest
from sortograph.api.serving import Serving, make_server
from sortograph.classify import load
from sortograph.serve.limits import Limits


@dataclass
class Live:
    """A server that runs in a thread of this process."""

    server: Any
    address: str
    port: int

    @property
    def service(self) -> Any:
        return self.server.service

    def client(self, **options: Any) -> httpx.Client:
        # No certificates: to read them takes longer than a test.
        options = {"trust_env": False, "verify": False, "timeout": 20, **options}
        return httpx.Client(base_url=self.address, **options)

    def raw(self, data: bytes, seconds: float = 10, *, half: bool = False) -> bytes:
        """What comes back for these bytes, until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), seconds) as connection:
            connection.sendall(data)
            if half:
                connection.shutdown(socket.SHUT_WR)
            return rest(connection)

    def connect(self, seconds: float = 10) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), seconds)


@contextmanager
def running(*models: Path, limits: Limits | None = None, **options: Any) -> Iterator[Live]:
    options = {"port": 0, "decoders": 2, "lanes": 2, **options}
    server, address = make_server(models, options=Serving(**options), limits=limits)
    ready = threading.Event()
    thread = threading.Thread(target=server.run, args=(ready.set,), daemon=True)
    thread.start()
    assert ready.wait(30)
    port = int(address.rstrip("/").rpartition(":")[2])
    try:
        yield Live(server, f"http://127.0.0.1:{port}", port)
    finally:
        server.stop()
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def model(small: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Never written to by a test."""
    return small.write(tmp_path_factory.mktemp("model") / "small.onnx")


@pytest.fixture(scope="session")
def live(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """As the defaults are, with corrections."""
    with running(model, corrections=tmp_path_factory.mktemp("corrections")) as found:
        yield found


@pytest.fixture(scope="session")
def guarded(model: Path) -> Iterator[Live]:
    """One that asks for a token."""
    with running(model, token=TOKEN) as found:
        yield found


@pytest.fixture(scope="session")
def serving() -> Callable[..., Any]:
    """`with serving(model, …) as live`: a server of its own."""
    return running


@pytest.fixture(scope="session")
def expected(model: Path) -> Callable[[bytes], Any]:
    """What the classifier answers without a server."""
    return load(model).predict
