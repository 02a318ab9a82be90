"""cache: what is there, and what goes."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

import sortograph
from sortograph import api, caches
from sortograph.errors import UsageError


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pixels and embeddings of two hours ago, a backbone of now, one scan."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(cache))
    free = shutil.disk_usage(tmp_path)  # other tests write meanwhile
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    for place, size in (("pixels/c/8x8", 3000), ("features/c/8x8/key", 2000)):
        (cache / place).mkdir(parents=True)
        (cache / place / "keys.bin").write_bytes(bytes(44))
        (cache / place / "values.bin").write_bytes(bytes(size - 44))
        os.utime(cache / place, (time.time() - 7200,) * 2)
    (cache / "backbones" / "key").mkdir(parents=True)
    (cache / "backbones" / "key" / "backbone.onnx").write_bytes(bytes(700))
    (cache / "scans").mkdir()
    (cache / "scans" / f"{'0a' * 16}.sqlite").write_bytes(bytes(50))
    return cache


def test_info(filled: Path) -> None:
    found = api.cache_info()
    assert (found["place"], found["bytes"]) == (str(filled), 5750)
    assert list(found["kinds"]) == ["pixels", "features", "backbones", "scans"]
    assert {kind: one["bytes"] for kind, one in found["kinds"].items()} == {
        "pixels": 3000,
        "features": 2000,
        "backbones": 700,
        "scans": 50,
    }
    assert [one["in_use"] for one in found["kinds"].values()] == [0, 0, 1, 1]
    assert all(one["stores"] == 1 for one in found["kinds"].values())
    assert {one["limit"] for one in found["kinds"].values()} == {found["limit"]} == {caches.limit(filled)}
    assert found["kinds"]["scans"]["place"] == str(filled / "scans")
    assert json.loads(json.dumps(found)) == found


def test_info_makes_no_cache_and_marks_nothing_as_used(filled: Path, tmp_path: Path, monkeypatch) -> None:
    before = {path: path.stat().st_mtime_ns for path in filled.rglob("*")}
    assert api.cache_info() == api.cache_info()
    assert {path: path.stat().st_mtime_ns for path in filled.rglob("*")} == before
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path / "none"))
    assert api.cache_info()["bytes"] == 0
    assert not (tmp_path / "none").exists()


def test_doctor_tells_the_same(filled: Path) -> None:
    assert sortograph.doctor()["caches"] == api.cache_info()["kinds"]


def test_clearing_some_kinds(filled: Path) -> None:
    found = api.clear_cache(["features", "scans", "features"])
    assert found == {"place": str(filled), "removed": {"features": 2000, "scans": 50}, "left": {}}
    assert sorted(path.name for path in filled.iterdir()) == ["backbones", "pixels"]


def test_clearing_all(filled: Path) -> None:
    (filled / "features" / "own.txt").write_text("mine")
    removed = api.clear_cache()["removed"]
    assert removed == {"pixels": 3000, "features": 2000, "backbones": 700, "scans": 50}
    assert [path for path in filled.rglob("*") if path.is_file()] == [filled / "features" / "own.txt"]
    assert set(api.clear_cache()["removed"].values()) == {0}


def test_what_cannot_be_removed_is_told(filled: Path, monkeypatch) -> None:
    real = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.name == "values.bin":
            raise PermissionError(13, "in use")
        real(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    found = api.clear_cache(["pixels"])
    assert found["removed"] == {"pixels": 44}
    assert found["left"] == {"pixels": 3000 - 44}


def test_unknown_kinds_are_refused_all_at_once(filled: Path) -> None:
    with pytest.raises(UsageError, match="'pixel' \\(did you mean 'pixels'\\?\\), 'photos'") as caught:
        api.clear_cache(["pixel", "scans", "photos"])
    assert "backbones" in caught.value.expected
    assert api.cache_info()["bytes"] == 5750
