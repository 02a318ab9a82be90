"""A program that is stopped at any of the calls that change something on the disk."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from sortograph.moving.journal import Journal

CALLS = ("link", "symlink", "unlink", "rename", "mkdir", "rmdir", "fsync", "utime", "chmod")


class Killed(BaseException):
    """Nothing of ours catches it: what a process that is killed cannot do either."""


@contextlib.contextmanager
def stopped_at(step: int, after: bool, locked: ModuleType) -> Iterator[None]:
    """Raises Killed right before or after the step-th call that changes something on the disk.

    locked: the module that holds `alone`
    """
    calls = 0

    def stopping(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == step and not after:
                raise Killed
            try:
                return real(*arguments, **options)
            finally:
                if calls == step:  # also where it was refused
                    raise Killed

        return call

    with pytest.MonkeyPatch.context() as patch:
        # The system takes the lock from a process that is killed; nobody does here.
        patch.setattr(locked, "alone", contextlib.nullcontext)
        for name in CALLS:
            patch.setattr(os, name, stopping(getattr(os, name)))
        yield


@contextlib.contextmanager
def torn_at(line: int, locked: ModuleType) -> Iterator[None]:
    """Raises Killed in the middle of writing the line-th line of a journal."""
    real, lines = Journal.write, 0

    def write(self: Any, facts: Any, *, durable: bool = False) -> None:
        nonlocal lines
        lines += 1
        if lines == line:
            self._file.write(json.dumps(facts).encode()[:20])
            raise Killed
        real(self, facts, durable=durable)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locked, "alone", contextlib.nullcontext)
        patch.setattr(Journal, "write", write)
        yield
