"""Fixtures of what `sorted_photos` has."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import sorted_photos
from sorted_photos import State
from sortograph.records import SortPlan
from sortograph.sorting import desk
from stopping import Killed, torn_at


@pytest.fixture(scope="session")
def tree() -> Callable[..., State]:
    return sorted_photos.tree


@pytest.fixture(scope="session")
def fill() -> Callable[[Path, Mapping[str, bytes]], Path]:
    return sorted_photos.fill


@pytest.fixture(scope="session")
def planned() -> Callable[..., SortPlan]:
    return sorted_photos.plan


@pytest.fixture
def source(tmp_path) -> Path:
    """Photos with companions, two of one name, and a file that nobody asked for."""
    return sorted_photos.fill(
        tmp_path / "photos",
        {
            "1.jpg": b"one", "1.CR2": b"raw", "1.jpg.xmp": b"settings", "trip/1.jpg": b"two",
            "trip/새.jpg": b"three", "trip/notes.txt": b"notes", "4.jpg": b"",
        },
    )  # fmt: skip


ANSWERS = {"1.jpg": "cat", "4.jpg": None, "trip/1.jpg": "cat", "trip/새.jpg": "새"}


@pytest.fixture(scope="session")
def answers() -> dict[str, str | None]:
    return ANSWERS


@pytest.fixture(params=["before", "after", "torn"])
def stopped_at(request) -> Callable[[int], contextlib.AbstractContextManager[None]]:
    """n → a context in which the n-th step is the last; Killed is raised if it comes to that."""
    if request.param == "torn":
        return lambda line: torn_at(line, desk)
    return lambda step: sorted_photos.stopped_at(step, request.param == "after")


@pytest.fixture(scope="session")
def killed() -> type[Killed]:
    return Killed


@pytest.fixture(scope="session")
def failing_at() -> Callable[[int, int], contextlib.AbstractContextManager[None]]:
    return sorted_photos.failing_at


@pytest.fixture
def far_away(monkeypatch) -> None:
    """Both folders are on different disks: links and renames between them are refused, within them not."""

    def guarded(real: Callable[..., Any]) -> Callable[..., Any]:
        def act(first: Any, second: Any, **options: Any) -> Any:
            sides = ["sorted" in Path(os.fsdecode(place)).parts for place in (first, second)]
            if sides[0] != sides[1]:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(first), None, str(second))
            return real(first, second, **options)

        return act

    for name in ("link", "rename"):
        monkeypatch.setattr(os, name, guarded(getattr(os, name)))


@pytest.fixture
def quick(monkeypatch) -> None:
    """Nobody waits for the disk."""
    monkeypatch.setattr(os, "fsync", lambda _handle: None)
