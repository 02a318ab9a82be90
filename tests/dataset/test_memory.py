from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest

from sortograph.dataset import memory as module
from sortograph.dataset.memory import ScanMemory, Stamps
from sortograph.records import LOOK, PhotoFacts

OLD = time.time_ns() - 10**11


def facts(name: str) -> PhotoFacts:
    look = np.zeros((), LOOK)
    look["brightness"] = len(name)
    return PhotoFacts(hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest(), 30, 20, look)


def stamp(size: int = 7) -> tuple[int, int, int]:
    return size, OLD, OLD


@pytest.fixture
def root(tmp_path: Path, cache: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def kept(root: Path, *names: str) -> None:
    with ScanMemory(root) as memory:
        for name in names:
            memory.keep(name, stamp(), facts(name))


def recalled(root: Path, *names: str, size: int = 7):
    with ScanMemory(root) as memory:
        return memory.known(names, [stamp(size)] * len(names))


def test_what_was_kept_is_known_in_the_next_scan(root: Path) -> None:
    names = ["고양이/1.jpg", "bad\udcff.jpg", "b\n.jpg"]
    kept(root, *names)
    found = recalled(root, *names, "new.jpg")
    assert [known.sha256 for known in found[:3]] == [facts(name).sha256 for name in names]
    assert (found[0].width, found[0].height) == (30, 20)
    assert np.frombuffer(found[2].look, LOOK)["brightness"] == len(names[2])
    assert found[3] is None


def test_a_changed_file_is_not_known(root: Path) -> None:
    kept(root, "a.jpg")
    assert recalled(root, "a.jpg", size=8) == [None]
    with ScanMemory(root) as memory:
        assert memory.known(["a.jpg"], [None]) == [None]
        for other in ((7, OLD + 1, OLD), (7, OLD, OLD + 1)):
            assert memory.known(["a.jpg"], [other]) == [None]


def test_a_file_that_was_just_written_is_read_again(root: Path) -> None:
    now = time.time_ns()
    with ScanMemory(root) as memory:
        memory.keep("a.jpg", (7, now, OLD), facts("a.jpg"))
        memory.keep("b.jpg", (7, OLD, now), facts("b.jpg"))
    with ScanMemory(root) as memory:
        assert memory.known(["a.jpg", "b.jpg"], [(7, now, OLD), (7, OLD, now)]) == [None, None]


def test_a_file_that_may_have_changed_since_it_was_read_is_read_again(root: Path) -> None:
    read = time.time_ns() - 60 * 10**9
    stamps = [(7, read - 3 * 10**9, OLD), (7, OLD, read - 10**9)]
    with ScanMemory(root) as memory:
        memory.keep("a.jpg", stamps[0], facts("a.jpg"), since=read)
        memory.keep("b.jpg", stamps[1], facts("b.jpg"), since=read)
    with ScanMemory(root) as memory:
        assert [known is not None for known in memory.known(["a.jpg", "b.jpg"], stamps)] == [True, False]


def test_more_photos_than_one_question_takes(root: Path) -> None:
    names = [f"{number}.jpg" for number in range(1203)]
    kept(root, *names)
    assert [known.sha256 for known in recalled(root, *names)] == [facts(name).sha256 for name in names]


def test_roots_do_not_mix(root: Path, tmp_path: Path) -> None:
    kept(root, "a.jpg")
    other = tmp_path / "other"
    other.mkdir()
    assert recalled(other, "a.jpg") == [None]
    link = tmp_path / "link"
    try:
        link.symlink_to(root, target_is_directory=True)
    except OSError:
        pytest.skip("no links on this system")
    assert recalled(link, "a.jpg") != [None]


def test_another_decoder_forgets(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(root, "a.jpg")
    monkeypatch.setattr(module, "contract", lambda: "other")
    assert recalled(root, "a.jpg") == [None]
    kept(root, "a.jpg")
    assert recalled(root, "a.jpg") != [None]


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 100])
def test_a_damaged_memory_is_begun_anew(root: Path, cache: Path, damage: bytes) -> None:
    kept(root, "a.jpg")
    (file,) = (cache / "scans").iterdir()
    file.write_bytes(damage)
    assert recalled(root, "a.jpg") == [None]
    kept(root, "a.jpg")
    assert recalled(root, "a.jpg") != [None]


def test_damaged_lines_count_as_unknown(root: Path, cache: Path) -> None:
    kept(root, "a.jpg", "b.jpg")
    (file,) = (cache / "scans").iterdir()
    with sqlite3.connect(file) as base:
        base.execute("UPDATE photos SET look = x'00' WHERE path = ?", (b"a.jpg",))
    base.close()
    a, b = recalled(root, "a.jpg", "b.jpg")
    assert a is None
    assert b is not None


def test_without_a_place_for_it_nothing_is_remembered(root: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path / "file" / "below"))
    kept(root, "a.jpg")
    assert recalled(root, "a.jpg") == [None]


def test_what_was_committed_survives_a_scan_that_is_cut_off(root: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "_COMMIT", 0.0)
    memory = ScanMemory(root)
    memory.keep("a.jpg", stamp(), facts("a.jpg"))
    memory.keep("b.jpg", stamp(), facts("b.jpg"))
    assert None not in recalled(root, "a.jpg", "b.jpg")
    memory.__exit__()


def test_stamps_of_files(root: Path) -> None:
    (root / "a.jpg").write_bytes(b"12345")
    os.utime(root / "a.jpg", ns=(1, 5_000_000_000))
    found = Stamps(root).of("a.jpg")
    assert found is not None
    assert found[:2] == (5, 5_000_000_000)
    assert Stamps(root).of("none.jpg") is None
    assert Stamps(root).of("nul\0.jpg") is None
