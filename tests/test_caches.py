from __future__ import annotations

import os
import shutil
import time
from collections import namedtuple
from pathlib import Path

import platformdirs
import pytest

from sortograph import caches

Usage = namedtuple("Usage", "total used free")
HOUR = 3600


@pytest.fixture
def free(monkeypatch):
    """`free(n)`: the disk has n bytes free."""

    def make(count: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**15, 0, count))

    return make


def store(folder: Path, size: int, age: float) -> Path:
    """A store of `size` bytes that was last used `age` seconds ago."""
    folder.mkdir(parents=True)
    (folder / "keys.bin").write_bytes(bytes(size // 4))
    (folder / "pixels.bin").write_bytes(bytes(size - size // 4))
    then = time.time() - age
    os.utime(folder, (then, then))
    return folder


def test_the_cache_is_where_the_variable_says(cache):
    assert caches.cache_folder() == cache
    assert not cache.exists()


@pytest.mark.parametrize("value", [None, ""])
def test_without_the_variable_it_is_the_users_cache_folder(monkeypatch, value):
    if value is None:
        monkeypatch.delenv("SORTOGRAPH_CACHE", raising=False)
    else:
        monkeypatch.setenv("SORTOGRAPH_CACHE", value)
    assert caches.cache_folder() == Path(platformdirs.user_cache_dir("sortograph", appauthor=False))


def test_the_limit_is_a_fifth_of_the_free_disk_with_the_cache_counted_as_free(tmp_path, free):
    store(tmp_path / "a", 1000, 0)
    free(9000)
    assert caches.limit(tmp_path) == 2000
    assert caches.limit(tmp_path / "none" / "yet") == 1800


def test_the_limit_is_20_gb_on_a_large_disk(tmp_path, free):
    free(10**13)
    assert caches.limit(tmp_path) == 20 * 10**9


def test_size_counts_all_files_below(tmp_path):
    store(tmp_path / "a" / "b", 1000, 0)
    (tmp_path / "more").write_bytes(bytes(50))
    assert caches.size(tmp_path) == 1050
    assert caches.size(tmp_path / "none") == 0


def test_files_that_another_run_removes_meanwhile_do_not_count(tmp_path, monkeypatch):
    store(tmp_path / "a", 1000, 0)
    true = os.walk

    def late(folder):
        for place in list(true(folder)):
            shutil.rmtree(tmp_path / "a", ignore_errors=True)
            yield place

    monkeypatch.setattr(os, "walk", late)
    assert caches.size(tmp_path) == 0


def test_room_that_is_there_removes_nothing(tmp_path, free):
    old = store(tmp_path / "old", 1000, 9 * HOUR)
    free(9000)
    assert caches.make_room(tmp_path, 1000, ())
    assert old.is_dir()


@pytest.mark.parametrize(
    ("ages", "left"),
    [({"a": 3, "b": 9, "c": 5, "d": 2}, {"a", "d"}), ({"a": 7, "b": 3, "c": 2, "d": 5}, {"b", "c"})],
)
def test_the_stores_used_least_recently_go_first_and_no_more_than_needed(tmp_path, free, ages, left):
    stores = {name: store(tmp_path / "x" / name, 100, age * HOUR) for name, age in ages.items()}
    free(2500 - 400)
    assert caches.limit(tmp_path) == 500
    assert caches.make_room(tmp_path, 250, ())
    assert {name for name, folder in stores.items() if folder.exists()} == left


def test_stores_used_within_the_hour_and_those_in_use_stay(tmp_path, free):
    recent = store(tmp_path / "recent", 100, 0.9 * HOUR)
    kept = store(tmp_path / "kept", 100, 9 * HOUR)
    old = store(tmp_path / "old", 100, 1.1 * HOUR)
    free(700)
    assert not caches.make_room(tmp_path, 150, (kept,))
    assert recent.exists()
    assert kept.exists()
    assert not old.exists()


def test_touching_makes_a_store_recent(tmp_path, free):
    old = store(tmp_path / "old", 100, 9 * HOUR)
    caches.touch(old)
    free(400)
    assert not caches.make_room(tmp_path, 50, ())
    assert old.exists()


def test_touching_what_is_not_there_or_read_only_does_nothing(tmp_path, monkeypatch):
    caches.touch(tmp_path / "none")
    assert not (tmp_path / "none").exists()

    def refuse(*_):
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr(os, "utime", refuse)
    caches.touch(tmp_path)
