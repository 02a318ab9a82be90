"""Sorting, stops, resuming, undoing, and what people do in between, in any order: no content is ever lost."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sorted_photos import CLASSES, plan, stopped_at, tree
from sortograph import sorting
from sortograph.errors import SortographError
from stopping import Killed

_NAMES = st.sampled_from(["1.jpg", "1.CR2", "1.jpg.xmp", "2.png", "trip/1.jpg", "trip/새.jpg"])
_WAYS = st.sampled_from(["move", "move", "copy", "hardlink", "symlink"])
_STOPS = st.one_of(st.none(), st.tuples(st.integers(1, 60), st.booleans()))
_PICK = st.integers(0, 10**6)


class Sorting(RuleBasedStateMachine):
    """Two folders, any number of sorts between them, and a person who works in both."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.source, self.sorted = self.home / "photos", self.home / "sorted"
        self.source.mkdir()
        self.written = 0
        self.alive: set[bytes] = set()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(os, "fsync", lambda _handle: None)

    def teardown(self) -> None:
        try:
            for journal in self._journals():
                sorting.undo(journal)
            self.nothing_is_lost()
        finally:
            self.patch.undo()
            shutil.rmtree(self.home)

    @rule(name=_NAMES)
    def add(self, name: str) -> None:
        file = self.source / name
        if not os.path.lexists(file):
            file.parent.mkdir(exist_ok=True)
            self._write(file)

    @rule(way=_WAYS, stop=_STOPS, label=st.sampled_from([*CLASSES, None]))
    def sort(self, way: str, stop: tuple[int, bool] | None, label: str | None) -> None:
        photos = sorted(path for path in tree(self.source) if path.endswith((".jpg", ".png")))
        if photos:
            wanted = plan(self.source, self.sorted, dict.fromkeys(photos, label), way)
            self._work(lambda: sorting.apply(wanted), stop)

    @rule(stop=_STOPS, pick=_PICK)
    def resume(self, stop: tuple[int, bool] | None, pick: int) -> None:
        if journals := self._journals():
            self._work(lambda: sorting.resume(journals[pick % len(journals)]), stop)

    @rule(stop=_STOPS, pick=_PICK)
    def undo(self, stop: tuple[int, bool] | None, pick: int) -> None:
        if journals := self._journals():
            self._work(lambda: sorting.undo(journals[pick % len(journals)]), stop)

    @rule(pick=_PICK)
    def edit(self, pick: int) -> None:
        if file := self._file(pick):
            self._write(file)

    @rule(pick=_PICK)
    def replace(self, pick: int) -> None:
        """As an editor saves: the new file is renamed over the old one."""
        if file := self._file(pick):
            self._write(self.home / "new")
            (self.home / "new").replace(file)
            self._forget()

    @rule(pick=_PICK)
    def delete(self, pick: int) -> None:
        if file := self._file(pick):
            file.unlink()
            self._forget()

    @rule(pick=_PICK, other=_PICK, name=_NAMES)
    def move(self, pick: int, other: int, name: str) -> None:
        if (file := self._file(pick)) and (target := self._free(other, name)):
            file.rename(target)

    @rule(pick=_PICK, other=_PICK, name=_NAMES)
    def copy(self, pick: int, other: int, name: str) -> None:
        if (file := self._file(pick)) and (target := self._free(other, name)):
            shutil.copy2(file, target)

    @invariant()
    def nothing_is_lost(self) -> None:
        assert self.alive <= self._contents()

    def _work(self, act: object, stop: tuple[int, bool] | None) -> None:
        assert callable(act)
        try:
            if stop is None:
                act()
            else:
                with stopped_at(*stop):
                    act()
        except (Killed, SortographError):
            pass

    def _journals(self) -> list[Path]:
        return sorted((self.sorted / ".sortograph").glob("sort-*.jsonl"))

    def _files(self) -> list[Path]:
        """All that a person has; not the links to it, and nothing of ours."""
        return sorted(
            path
            for side in (self.source, self.sorted)
            for path in side.rglob("*")
            if path.is_file() and not path.is_symlink() and not _is_ours(path)
        )

    def _file(self, pick: int) -> Path | None:
        files = self._files()
        return files[pick % len(files)] if files else None

    def _free(self, pick: int, name: str) -> Path | None:
        folders = [self.source, *(self.sorted / label for label in CLASSES)]
        target = folders[pick % len(folders)] / name
        if os.path.lexists(target):
            return None
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _write(self, file: Path) -> None:
        self.written += 1
        content = b"content %d" % self.written
        file.write_bytes(content)
        self._forget()
        self.alive.add(content)

    def _forget(self) -> None:
        """What a person has just written over or deleted is no loss."""
        self.alive &= self._contents()

    def _contents(self) -> set[bytes]:
        return {path.read_bytes() for path in self._files()}


def _is_ours(path: Path) -> bool:
    return ".sortograph" in path.parts or path.name.startswith(".moving-")


TestSorting = Sorting.TestCase
TestSorting.settings = settings(max_examples=60, stateful_step_count=14, deadline=None)
