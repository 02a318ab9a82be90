"""Folders of files to sort by answers made before, what is compared afterwards, and stops at any step."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import stopping
from sortograph import sorting
from sortograph.files import storage_errors
from sortograph.moving.journal import Journal
from sortograph.records import Prediction, SortPlan
from sortograph.sorting import DEFAULT, desk

State = dict[str, tuple[bytes, int, int]]
CLASSES = ("cat", "dog", "새")


def tree(folder: Path, *, hidden: bool = True) -> State:
    """Path → content, time of change and permissions of all files, folders with empty content."""
    found: State = {}
    for place in folder.rglob("*"):
        path = place.relative_to(folder).as_posix()
        if not hidden and path.startswith(".sortograph"):
            continue
        if place.is_symlink():
            found[path] = (os.fsencode(place.readlink()), 0, 0)
        elif place.is_file():
            found[path] = (place.read_bytes(), place.stat().st_mtime_ns, place.stat().st_mode)
        else:
            found[path] = (b"", 0, 0)
    return found


def fill(root: Path, files: Mapping[str, bytes]) -> Path:
    for number, (name, content) in enumerate(files.items()):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        os.utime(file, ns=(10**18, 10**18 + 1_234_567 * number))
        file.chmod(0o640)
    return root


def plan(
    source: Path, into: Path, answers: Mapping[str, str | None], way: str = "move", template: str = DEFAULT
) -> SortPlan:
    """A plan by answers: path → class, None where it is withheld."""
    home, place = sorting.check_ends(source, into)
    found = [
        Prediction(str(home / path), label, 0.9, unsure=None if label else "withheld")
        for path, label in answers.items()
    ]
    folders = sorting.class_folders(CLASSES)
    return sorting.make_plan(sorting.Wish(home, place, way, sorting.read_template(template), folders), found)


def stopped_at(step: int, after: bool) -> contextlib.AbstractContextManager[None]:
    return stopping.stopped_at(step, after, desk)


@contextlib.contextmanager
def failing_at(step: int, number: int) -> Iterator[None]:
    """The step-th call that writes fails with this error, and so do all that come after it."""
    calls = 0

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls >= step:
                named = [str(each) for each in arguments if isinstance(each, str | os.PathLike)]
                raise OSError(number, os.strerror(number), *named[:1])
            return real(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("link", "symlink", "unlink", "rename", "mkdir", "fsync"):
            patch.setattr(os, name, failing(getattr(os, name)))
        patch.setattr(shutil, "copyfileobj", failing(shutil.copyfileobj))
        patch.setattr(Journal, "write", _failing_write(lambda: calls + 1 >= step, number))
        yield


def _failing_write(is_time: Callable[[], bool], number: int) -> Callable[..., None]:
    real = Journal.write

    def write(self: Any, facts: Any, *, durable: bool = False) -> None:
        if is_time():
            with storage_errors(self._path):
                raise OSError(number, os.strerror(number))
        real(self, facts, durable=durable)

    return write
