from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from keepers import SPEC, Kept
from sortograph.dataset import reading as module
from sortograph.dataset import scan
from sortograph.images.crew import Crew, shared_crew
from sortograph.images.preprocess import prepare


@pytest.fixture
def pets(tmp_path: Path, photos, monkeypatch, tmp_path_factory) -> Path:
    """Photos that were last changed an hour ago, and a cache of their own."""
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path_factory.mktemp("cache")))
    for name in ("cats", "dogs"):
        photos(name, 12)
    age(tmp_path)
    return tmp_path


def age(folder: Path) -> None:
    """As if all photos were an hour old."""
    then = time.time() - 3600
    for path in folder.rglob("*.png"):
        os.utime(path, (then, then))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were read in worker processes."""
    paths: list[str] = []
    real = shared_crew()

    class Spy(Crew):
        def __init__(self) -> None:
            pass

        def read(self, root, names: Iterable[str], sizes=(), look=True):
            def noted():
                for name in names:
                    paths.append(name)
                    yield name

            return real.read(root, noted(), sizes, look)

    monkeypatch.setattr(module, "shared_crew", Spy)
    # The change of its times has just changed the time of the file's node.
    monkeypatch.setattr("sortograph.dataset.memory._SETTLED", 0)
    return paths


def test_every_photo_is_read_once_and_the_second_scan_reads_nothing(pets: Path, asked: list[str]) -> None:
    first = scan(pets)
    assert sorted(asked) == sorted(first.paths)
    asked.clear()
    second = scan(pets)
    assert asked == []
    assert second.fingerprint == first.fingerprint
    np.testing.assert_array_equal(second.looks, first.looks)
    np.testing.assert_array_equal(second.sizes, first.sizes)


def test_only_what_changed_is_read_again(pets: Path, photo, asked: list[str]) -> None:
    scan(pets)
    asked.clear()
    photo("cats/3.png", "another picture")
    photo("dogs/13.png")
    found = scan(pets)
    assert asked == ["cats/3.png", "dogs/13.png"]
    changed = found.sha256[found.paths.index("cats/3.png")]
    assert changed == hashlib.sha256((pets / "cats/3.png").read_bytes()).hexdigest()


def test_refusals_are_not_remembered(pets: Path, asked: list[str]) -> None:
    (pets / "cats/bad.png").write_bytes(b"no photo")
    for _ in range(2):
        asked.clear()
        assert [bad.path for bad in scan(pets).rejected] == ["cats/bad.png"]
        assert "cats/bad.png" in asked


def test_the_keeper_gets_the_pixels_that_predict_would_see(pets: Path, asked: list[str]) -> None:
    scan(pets)
    keeper = Kept()
    asked.clear()
    found = scan(pets, keeper=keeper)
    assert len(asked) == 24  # remembered, but their pixels were not there
    for path, content in zip(found.paths, found.sha256, strict=True):
        np.testing.assert_array_equal(keeper.pixels[content], prepare((pets / path).read_bytes(), SPEC))
    asked.clear()
    assert scan(pets, keeper=keeper).fingerprint == found.fingerprint
    assert asked == []


def test_a_scan_that_is_cut_off_goes_on_where_it_was(pets: Path, asked, monkeypatch) -> None:
    monkeypatch.setattr("sortograph.dataset.memory._COMMIT", 0.0)
    taken = module._take

    def stop(columns, row, reading, keeper):
        if row == 15:
            raise KeyboardInterrupt
        taken(columns, row, reading, keeper)

    monkeypatch.setattr(module, "_take", stop)
    with pytest.raises(KeyboardInterrupt):
        scan(pets)
    monkeypatch.setattr(module, "_take", taken)
    asked.clear()
    assert len(scan(pets)) == 24
    assert len(asked) == 9
