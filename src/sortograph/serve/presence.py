"""Whether the client of a connection is still there. What waits for one that has left is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_KEY = "sortograph.presence"


class Presence:
    """One for each connection, which answers its requests one after the other. Of one event loop."""

    __slots__ = ("_patience", "gone")

    def __init__(self) -> None:
        self.gone = False
        self._patience: asyncio.Timeout | None = None

    @contextmanager
    def ending(self, patience: asyncio.Timeout) -> Iterator[None]:
        """While in here, the client's leaving ends the time limit. No task is needed to watch for it."""
        self._patience = patience
        try:
            if self.gone:
                patience.reschedule(0.0)
            yield
        finally:
            self._patience = None

    def leave(self) -> None:
        """The client is gone."""
        self.gone = True
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(0.0)

    def enter(self, state: dict[str, Any]) -> None:
        """Tell of it in the state of a request's scope."""
        state[_KEY] = self


def presence_of(scope: Mapping[str, Any]) -> Presence:
    """That of the request's connection; under another server, a client that always stays."""
    found = scope.get("state", {}).get(_KEY)
    return found if isinstance(found, Presence) else Presence()
