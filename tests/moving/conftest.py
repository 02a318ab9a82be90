"""Folders of files to move, and what is compared afterwards."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

import stopping
from sortograph.moving import Aside, make_plan, quarantine, write_plan
from stopping import Killed, torn_at

State = dict[str, tuple[bytes, int, int]]


def _tree(folder: Path) -> State:
    """Path → content, time of change and permissions of all files, folders with empty content."""
    return {
        path.relative_to(folder).as_posix(): (
            (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode)
            if path.is_file()
            else (b"", 0, 0)
        )
        for path in folder.rglob("*")
    }


def _fill(root: Path, files: Mapping[str, bytes]) -> None:
    for number, (name, content) in enumerate(files.items()):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        os.utime(file, ns=(10**18, 10**18 + 1_234_567 * number))
        file.chmod(0o640)


def _planned(file: Path, root: Path, names: Iterable[str], to: Path | None = None) -> Path:
    """The plan's file, for all `names`."""
    write_plan(make_plan(root, [Aside(name, "check", "why") for name in names], to), file)
    return file


@pytest.fixture(scope="session")
def tree() -> Callable[[Path], State]:
    return _tree


@pytest.fixture(scope="session")
def fill() -> Callable[[Path, Mapping[str, bytes]], None]:
    return _fill


@pytest.fixture(scope="session")
def planned() -> Callable[..., Path]:
    return _planned


@pytest.fixture
def photos(tmp_path) -> Path:
    """Four files in two folders and the root itself."""
    root = tmp_path / "photos"
    _fill(root, {"cat/1.png": b"one", "cat/2.png": b"two", "개/3.png": b"three", "4.png": b""})
    return root


@pytest.fixture
def plan(tmp_path, photos) -> Path:
    """A plan for three of them."""
    return _planned(tmp_path / "plan.json", photos, ["cat/1.png", "개/3.png", "4.png"])


def _stopped_at(step: int, after: bool) -> contextlib.AbstractContextManager[None]:
    return stopping.stopped_at(step, after, quarantine)


@pytest.fixture(params=["before", "after", "torn"])
def stopped_at(request) -> Callable[[int], contextlib.AbstractContextManager[None]]:
    """n → a context in which the n-th step is the last; Killed is raised if it comes to that."""
    if request.param == "torn":
        return lambda line: torn_at(line, quarantine)
    return lambda step: _stopped_at(step, request.param == "after")


@pytest.fixture
def killed() -> type[Killed]:
    return Killed


@pytest.fixture
def far_away(monkeypatch) -> None:
    """Both folders are on different disks: links and renames between them are refused, within them not."""

    def guarded(real: Callable[..., Any]) -> Callable[..., Any]:
        def act(source: Any, target: Any, **options: Any) -> Any:
            sides = ["quarantine" in os.fsdecode(place) for place in (source, target)]
            if sides[0] != sides[1]:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(source), None, str(target))
            return real(source, target, **options)

        return act

    for name in ("link", "rename"):
        monkeypatch.setattr(os, name, guarded(getattr(os, name)))
