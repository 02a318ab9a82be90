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
    (folder / "values.bin").write_bytes(bytes(size - size // 4))
    then = time.time() - age
    os.utime(folder, (then, then))
    return folder


def aged(path: Path, age: float) -> Path:
    then = time.time() - age
    os.utime(path, (then, then))
    return path


def everything(folder: Path, age: float = 0.0) -> dict[str, Path]:
    """One store of each kind: 1,000, 2,000, 700 and 500 bytes."""
    stores = {
        "pixels": store(folder / "pixels" / "contract" / "8x8", 1000, age),
        "features": store(folder / "features" / "contract" / "8x8" / "key", 2000, age),
        "backbones": folder / "backbones" / "key",
        "scans": folder / "scans" / f"{'5e' * 16}.sqlite",
    }
    stores["backbones"].mkdir(parents=True)
    (stores["backbones"] / "backbone.onnx").write_bytes(bytes(600))
    (stores["backbones"] / "backbone.json").write_bytes(bytes(50))
    (folder / "backbones" / "names").mkdir()
    (folder / "backbones" / "names" / f"{'c0' * 16}.json").write_bytes(bytes(30))
    (stores["backbones"] / ".writing-ab_12x.onnx").write_bytes(bytes(20))
    stores["scans"].parent.mkdir()
    stores["scans"].write_bytes(bytes(500))
    for place in stores.values():
        aged(place, age)
    return stores


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
    store(tmp_path / "pixels" / "a", 1000, 0)
    free(9000)
    assert caches.limit(tmp_path) == 2000
    assert caches.limit(tmp_path / "none" / "yet") == 1800


def test_the_limit_is_20_gb_on_a_large_disk(tmp_path, free):
    free(10**13)
    assert caches.limit(tmp_path) == 20 * 10**9


def test_only_what_is_ours_counts(tmp_path):
    everything(tmp_path)
    assert caches.taken(tmp_path) == 4200
    (tmp_path / "keys.bin").write_bytes(bytes(50))
    (tmp_path / "pixels" / "notes.txt").write_bytes(bytes(50))
    (tmp_path / "features" / "model.py").write_bytes(bytes(50))
    (tmp_path / "backbones" / "photo.jpg").write_bytes(bytes(50))
    (tmp_path / "scans" / "mine.sqlite").write_bytes(bytes(50))
    assert caches.taken(tmp_path) == 4200
    assert caches.taken(tmp_path / "none") == 0


def test_files_that_another_run_removes_meanwhile_do_not_count(tmp_path, monkeypatch):
    store(tmp_path / "pixels" / "a", 1000, 0)
    true = Path.iterdir

    def late(folder):
        found = list(true(folder))
        shutil.rmtree(tmp_path / "pixels" / "a", ignore_errors=True)
        return iter(found)

    monkeypatch.setattr(Path, "iterdir", late)
    assert caches.taken(tmp_path) == 0


def test_room_that_is_there_removes_nothing(tmp_path, free):
    old = store(tmp_path / "pixels" / "old", 1000, 9 * HOUR)
    free(9000)
    assert caches.make_room(tmp_path, 1000, ())
    assert old.is_dir()


@pytest.mark.parametrize(
    ("ages", "left"),
    [({"a": 3, "b": 9, "c": 5, "d": 2}, {"a", "d"}), ({"a": 7, "b": 3, "c": 2, "d": 5}, {"b", "c"})],
)
def test_the_stores_used_least_recently_go_first_and_no_more_than_needed(tmp_path, free, ages, left):
    stores = {name: store(tmp_path / "pixels" / "x" / name, 100, age * HOUR) for name, age in ages.items()}
    free(2500 - 400)
    assert caches.limit(tmp_path) == 500
    assert caches.make_room(tmp_path, 250, ())
    assert {name for name, folder in stores.items() if folder.exists()} == left


def test_stores_used_within_the_hour_and_those_in_use_stay(tmp_path, free):
    recent = store(tmp_path / "pixels" / "recent", 100, 0.9 * HOUR)
    kept = store(tmp_path / "features" / "kept", 100, 9 * HOUR)
    old = store(tmp_path / "features" / "old", 100, 1.1 * HOUR)
    free(700)
    assert not caches.make_room(tmp_path, 150, (kept,))
    assert recent.exists()
    assert kept.exists()
    assert not old.exists()


def test_touching_makes_a_store_recent(tmp_path, free):
    old = store(tmp_path / "pixels" / "old", 100, 9 * HOUR)
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


@pytest.mark.parametrize("kind", caches.KINDS)
def test_every_kind_can_be_given_up(tmp_path, free, kind):
    stores = everything(tmp_path, age=2 * HOUR)
    aged(stores[kind], 9 * HOUR)
    free(5 * 4200 - 4200)
    assert caches.limit(tmp_path) == 4200
    assert caches.make_room(tmp_path, 100, ())
    assert {name for name, place in stores.items() if not place.exists()} == {kind}


def test_usage_of_each_kind(tmp_path):
    stores = everything(tmp_path, age=2 * HOUR)
    store(tmp_path / "pixels" / "contract" / "9x9", 300, 0.5 * HOUR)
    caches.touch(stores["scans"])
    found = {kind: caches.usage(tmp_path, kind) for kind in caches.KINDS}
    assert found["pixels"] == caches.Usage(tmp_path / "pixels", 1300, 2, 1)
    assert found["features"] == caches.Usage(tmp_path / "features", 2000, 1, 0)
    assert found["backbones"] == caches.Usage(tmp_path / "backbones", 700, 1, 0)
    assert found["scans"] == caches.Usage(tmp_path / "scans", 500, 1, 1)


@pytest.mark.parametrize("kind", caches.KINDS)
def test_clearing_one_kind_leaves_the_others_and_no_empty_folders(tmp_path, kind):
    stores = everything(tmp_path)
    there = caches.usage(tmp_path, kind).bytes
    assert caches.clear(tmp_path, kind) == there
    assert not (tmp_path / kind).exists()
    assert all(place.exists() for name, place in stores.items() if name != kind)
    assert caches.clear(tmp_path, kind) == 0


def test_clearing_leaves_what_is_not_ours(tmp_path):
    stores = everything(tmp_path)
    theirs = [
        tmp_path / "keys.bin",
        stores["pixels"] / "holiday.jpg",
        tmp_path / "features" / "model.py",
        stores["backbones"] / "weights.safetensors",
        tmp_path / "backbones" / "package.json",
        tmp_path / "scans" / "passport.pdf",
        tmp_path / "scans" / "mine.sqlite",
        tmp_path / "other" / "values.bin",
    ]
    for path in theirs:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"mine")
    for kind in caches.KINDS:
        caches.clear(tmp_path, kind)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(theirs)


def linked(path: Path, target: Path) -> None:
    try:
        path.symlink_to(target, target_is_directory=target.is_dir())
    except OSError:
        pytest.skip("no links may be made here")


def test_links_are_never_followed(tmp_path):
    other = store(tmp_path / "other", 1000, 9 * HOUR)
    cache = tmp_path / "cache"
    (cache / "features").mkdir(parents=True)
    linked(cache / "pixels", other)
    linked(cache / "features" / "inner", other)
    linked(cache / "features" / "keys.bin", other / "keys.bin")
    assert caches.taken(cache) == 0
    for kind in caches.KINDS:
        assert caches.usage(cache, kind).stores == 0
        caches.clear(cache, kind)
    assert sorted(path.name for path in other.iterdir()) == ["keys.bin", "values.bin"]
    assert (cache / "pixels").is_symlink()


def test_files_that_cannot_be_removed_are_not_counted_as_removed(tmp_path, monkeypatch):
    everything(tmp_path)

    def refuse(*_, **__):
        raise PermissionError(13, "in use")

    monkeypatch.setattr(Path, "unlink", refuse)
    assert caches.clear(tmp_path, "features") == 0
    assert caches.usage(tmp_path, "features").bytes == 2000
