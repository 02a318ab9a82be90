from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sortograph.errors import StorageError
from sortograph.loading import store as module
from sortograph.loading.store import Store, Stored

SHAPE = (3, 4, 3)
APPEND = """
import hashlib, sys
import numpy as np
from pathlib import Path
from sortograph.loading.store import Store, Stored
from sortograph.records import PhotoFacts

store = Store(Path(sys.argv[1]), (3, 4, 3))
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    sha256 = hashlib.sha256(bytes([number])).hexdigest()
    store.append([Stored(PhotoFacts(sha256, number + 1, number + 2), np.full((3, 4, 3), number, np.uint8))])
"""


@pytest.fixture
def stored(facts):
    """Photo number k, all of whose pixels are k."""
    return lambda number: Stored(facts(number), np.full(SHAPE, number, dtype=np.uint8))


def fills(store: Store, facts, numbers) -> bool:
    pixels = store.read([facts(number).sha256 for number in numbers])
    assert pixels.shape == (len(numbers), *SHAPE)
    return all((photo == number).all() for photo, number in zip(pixels, numbers, strict=True))


def test_photos_come_back_in_the_order_asked_for_also_twice(tmp_path, stored, facts):
    store = Store(tmp_path / "new" / "folder", SHAPE)
    store.append([stored(number) for number in range(5)])
    assert fills(store, facts, [3, 0, 3, 4])
    assert fills(Store(store.folder, SHAPE), facts, [4, 1])
    assert store.facts(facts(2).sha256) == facts(2)
    assert facts(9).sha256 not in store
    assert store.facts(facts(9).sha256) is None
    with pytest.raises(KeyError):
        store.read([facts(9).sha256])


def test_what_is_read_can_be_changed_without_changing_the_store(tmp_path, stored, facts):
    store = Store(tmp_path, SHAPE)
    store.append([stored(1)])
    store.read([facts(1).sha256])[:] = 77
    assert fills(store, facts, [1])


def test_the_same_photo_is_kept_once(tmp_path, stored, facts):
    one, other = Store(tmp_path, SHAPE), Store(tmp_path, SHAPE)
    one.append([stored(1), stored(2), stored(1)])
    other.append([stored(2), stored(3)])
    one.append([stored(3), stored(4)])
    assert (tmp_path / "values.bin").stat().st_size == 4 * one.record
    assert fills(one, facts, [1, 2, 3, 4])


def test_a_store_sees_what_another_added_as_soon_as_it_adds_something(tmp_path, stored, facts):
    one, other = Store(tmp_path, SHAPE), Store(tmp_path, SHAPE)
    one.append([stored(1)])
    assert fills(one, facts, [1])
    other.append([stored(2)])
    one.append([stored(3)])
    assert fills(one, facts, [3, 2, 1])


def test_two_processes_append_at_the_same_time(tmp_path, facts):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", APPEND, str(tmp_path), str(first), str(first + 40)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for first in (0, 30)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=30)
        assert process.returncode == 0
    assert (tmp_path / "keys.bin").stat().st_size == 70 * 44
    assert fills(Store(tmp_path, SHAPE), facts, range(70))


def test_threads_append_at_the_same_time_each_through_its_own_store(tmp_path, stored, facts):
    def work(first: int) -> None:
        store = Store(tmp_path, SHAPE)
        for number in range(first, first + 20):
            store.append([stored(number)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, (0, 10, 20, 30)))
    assert fills(Store(tmp_path, SHAPE), facts, range(50))


@pytest.mark.parametrize("written", [0, 17, 36, 108])
def test_a_crash_between_pixels_and_keys_loses_no_more_than_those_photos(
    tmp_path, stored, facts, monkeypatch, written
):
    store = Store(tmp_path, SHAPE)
    store.append([stored(1)])
    extend = module._extend

    def crash(path, start, data):
        if path.name == "keys.bin":
            raise KeyboardInterrupt
        extend(path, start, data[:written])

    with monkeypatch.context() as patch:
        patch.setattr(module, "_extend", crash)
        with pytest.raises(KeyboardInterrupt):
            store.append([stored(2), stored(4), stored(5)])
    after = Store(tmp_path, SHAPE)
    assert facts(2).sha256 not in after
    after.append([stored(3)])
    assert fills(Store(tmp_path, SHAPE), facts, [1, 3])
    assert (tmp_path / "values.bin").stat().st_size == 2 * store.record


@pytest.mark.parametrize(("name", "record"), [("keys.bin", 44), ("values.bin", 36)])
@pytest.mark.parametrize("left", [0.0, 0.5, 1.0, 1.5, 2.9])
def test_files_that_were_cut_off_keep_what_is_whole(tmp_path, stored, facts, name, record, left):
    Store(tmp_path, SHAPE).append([stored(number) for number in range(3)])
    with (tmp_path / name).open("r+b") as file:
        file.truncate(int(left * record))
    store = Store(tmp_path, SHAPE)
    whole = [number for number in range(3) if facts(number).sha256 in store]
    assert whole == list(range(int(left)))
    assert not whole or fills(store, facts, whole)
    store.append([stored(number) for number in (7, 2, 1, 0)])
    assert fills(Store(tmp_path, SHAPE), facts, [0, 1, 2, 7])


@pytest.mark.parametrize("damaged", [0, 1, 2])
def test_damaged_pixels_count_as_not_stored_and_are_kept_anew(tmp_path, stored, facts, damaged):
    Store(tmp_path, SHAPE).append([stored(number) for number in range(3)])
    with (tmp_path / "values.bin").open("r+b") as file:
        file.seek(damaged * 36 + 20)
        file.write(b"\xff\x00\xff")
    store = Store(tmp_path, SHAPE)
    assert [number for number in range(3) if facts(number).sha256 in store] == sorted({0, 1, 2} - {damaged})
    assert store.facts(facts(damaged).sha256) is None
    store.append([stored(damaged)])
    assert fills(store, facts, range(3))
    assert fills(Store(tmp_path, SHAPE), facts, range(3))


@pytest.mark.parametrize("name", ["keys.bin", "values.bin"])
def test_a_file_that_is_gone_is_an_empty_store(tmp_path, stored, facts, name):
    Store(tmp_path, SHAPE).append([stored(1)])
    (tmp_path / name).unlink()
    store = Store(tmp_path, SHAPE)
    assert facts(1).sha256 not in store
    store.append([stored(2)])
    assert fills(store, facts, [2])


@pytest.mark.parametrize("others", [(), (8,), (7, 8, 9)])
def test_a_store_that_was_removed_while_open_starts_afresh(tmp_path, stored, facts, others):
    """Old row numbers in new files would give other photos, or black ones."""
    folder = tmp_path / "store"
    store = Store(folder, SHAPE)
    store.append([stored(1), stored(2)])
    shutil.rmtree(folder)
    if others:
        Store(folder, SHAPE).append([stored(number) for number in others])
    store.append([stored(3), stored(2)])
    assert facts(1).sha256 not in store
    assert fills(store, facts, [3, 2, *others])
    assert fills(Store(folder, SHAPE), facts, [3, 2, *others])


def test_a_place_that_cannot_be_written_is_a_storage_error(tmp_path, stored):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError) as caught:
        Store(tmp_path / "file" / "store", SHAPE).append([stored(1)])
    assert "file" in caught.value.where


def test_a_full_disk_is_a_storage_error(tmp_path, stored, monkeypatch):
    def full(path, start, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_extend", full)
    with pytest.raises(StorageError, match="the disk is full"):
        Store(tmp_path, SHAPE).append([stored(1)])
