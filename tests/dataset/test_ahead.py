"""Photos that are read ahead of a scan: taken over where they are the same still, else read again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from keepers import Kept
from sortograph.dataset import Ahead, ahead_of_scan, scan
from sortograph.dataset import ahead as module
from sortograph.dataset.reading import Hastened
from sortograph.errors import DataError
from sortograph.images.crew import Crew
from sortograph.images.inspect import hash_of
from sortograph.records import PreprocessSpec

SIZES = Kept.sizes
EACH = 8 * 9 * 3


@pytest.fixture
def pets(tmp_path: Path, photos, monkeypatch, tmp_path_factory) -> Path:
    """Twelve cats and twelve dogs, and a cache of their own."""
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr("sortograph.dataset.memory._SETTLED", 0)
    for name in ("cats", "dogs"):
        photos(name, 12)
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The photos that were asked of workers."""
    names: list[str] = []
    real = Crew.submit
    monkeypatch.setattr(Crew, "submit", lambda crew, job, some: names.extend(some) or real(crew, job, some))
    return names


@pytest.fixture
def begin() -> Iterator[Callable[..., Ahead]]:
    """Begins, and waits until all that was begun is read."""
    made: list[Ahead] = []

    def build(root: Path, sizes=SIZES, new_only: bool = False) -> Ahead:
        made.append(Ahead())
        made[-1].begin(partial(ahead_of_scan, root, follow_links=False, new_only=new_only), sizes)
        made[-1].has_pixels(sizes)
        wait({one.readings for one in made[-1]._begun.values()})
        return made[-1]

    yield build
    for one in made:
        one.drop()


def found(root: Path, ahead: Ahead):
    keeper = Kept()
    return scan(root, keeper=Hastened(keeper, ahead)), keeper.pixels


def plain(root: Path):
    keeper = Kept()
    return scan(root, keeper=keeper), keeper.pixels


def same(one, other) -> bool:
    (index, pixels), (wanted, others) = one, other
    assert pixels.keys() == others.keys()
    for content, values in pixels.items():
        np.testing.assert_array_equal(values, others[content])
    np.testing.assert_array_equal(index.looks, wanted.looks)
    return (index.fingerprint, index.rejected) == (wanted.fingerprint, wanted.rejected)


def test_a_scan_takes_over_what_was_begun(pets: Path, asked, begin) -> None:
    ahead = begin(pets)
    assert len(asked) == len(set(asked)) == 24
    asked.clear()
    index = found(pets, ahead)
    assert asked == []
    assert not ahead._begun
    assert same(index, plain(pets))
    asked.clear()
    assert scan(pets).fingerprint == index[0].fingerprint
    assert asked == [], "what was taken over is remembered"


@pytest.mark.parametrize(("most", "begun"), [(0, 0), (7, 0), (8, 8), (20, 16), (1000, 24)])
def test_no_more_is_begun_than_may_wait(pets: Path, asked, begin, monkeypatch, most: int, begun: int) -> None:
    monkeypatch.setattr(module, "_BYTES", most * EACH)
    ahead = begin(pets)
    assert len(asked) == begun
    assert same(found(pets, ahead), plain(pets))
    assert len(asked) == 24 + 24  # each once, and again for the plain scan


def test_photos_that_were_seen_are_begun_where_they_are_wanted(pets: Path, photo, asked, begin) -> None:
    scan(pets)
    photo("cats/20.png")
    asked.clear()
    begin(pets, new_only=True)
    assert asked == ["cats/20.png"]
    asked.clear()
    begin(pets)
    assert len(asked) == 25


def test_photos_of_other_sizes_are_not_taken_over(pets: Path, asked, begin) -> None:
    ahead = begin(pets, ((PreprocessSpec(size=(9, 9)), 1.0),))
    assert same(found(pets, ahead), plain(pets))
    assert len(asked) == 3 * 24


def test_how_a_model_normalises_makes_no_difference(pets: Path, asked, begin) -> None:
    ahead = begin(pets, ((PreprocessSpec(size=(8, 9), mean=(0.1, 0.2, 0.3)), 1.0),))
    asked.clear()
    found(pets, ahead)
    assert asked == []


def test_nothing_is_begun_twice_and_other_sizes_go_first(pets: Path, asked, begin) -> None:
    ahead = begin(pets)
    coming = partial(ahead_of_scan, pets, follow_links=False, new_only=False)
    ahead.begin(coming, SIZES)
    assert len(asked) == 24
    ahead.begin(coming, ((PreprocessSpec(size=(9, 9)), 1.0),))
    assert not ahead.has_pixels(SIZES)
    assert len(asked) == 48


def change(pets: Path, photo) -> str:
    photo("cats/3.png", "another picture")
    return "cats/3.png"


def swap_folders(pets: Path, photo) -> str:
    """Renaming changes no time of the files in a folder."""
    (pets / "new").mkdir()
    for number in range(1, 13):
        photo(f"new/{number}.png", f"another {number}")
    (pets / "cats").rename(pets.parent / "gone")
    (pets / "new").rename(pets / "cats")
    return "cats/3.png"


def put_in_place(pets: Path, photo) -> str:
    """Another file, with the times of the one that was there."""
    status = (pets / "cats/3.png").stat()
    photo("dogs/other.png", "another picture")
    os.utime(pets / "dogs/other.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    (pets / "dogs/other.png").replace(pets / "cats/3.png")
    return "cats/3.png"


@pytest.mark.parametrize("way", [change, swap_folders, put_in_place])
def test_what_has_changed_since_is_read_again(pets: Path, photo, begin, way) -> None:
    ahead = begin(pets)
    path = way(pets, photo)
    for index in (found(pets, ahead)[0], scan(pets)):
        assert index.sha256[index.paths.index(path)] == hash_of((pets / path).read_bytes())


def test_what_could_not_be_read_is_read_again(pets: Path, photo, begin) -> None:
    """Such as a photo that was being copied; its stamp may look the same on coarse clocks."""
    whole = (pets / "cats/3.png").read_bytes()
    (pets / "cats/3.png").write_bytes(whole[:-20] + bytes(20))
    status = (pets / "cats/3.png").stat()
    ahead = begin(pets)
    (pets / "cats/3.png").write_bytes(whole)
    ahead._begun["cats/3.png"] = module._Begun(
        (status.st_size, *_times(pets / "cats/3.png")), ahead._begun["cats/3.png"].readings, 2
    )
    assert ahead._begun["cats/3.png"].readings.result()[2].facts is None
    assert found(pets, ahead)[0].rejected == ()


def _times(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_ctime_ns


def test_what_just_changed_when_it_was_read_is_not_remembered(pets: Path, begin, asked, monkeypatch) -> None:
    monkeypatch.setattr("sortograph.dataset.memory._SETTLED", 3600 * 10**9)
    ahead = begin(pets)
    ahead.since += 7200 * 10**9  # as if it had been read two hours after
    found(pets, ahead)
    asked.clear()
    scan(pets)
    assert asked == []
    ahead = begin(pets)
    ahead.since -= 10**9
    assert same(found(pets, ahead), plain(pets))


def test_a_table_may_name_a_photo_twice(pets: Path, begin, tmp_path: Path) -> None:
    rows = [f"{name}/{number}.png,{name}" for name in ("cats", "dogs") for number in range(1, 13)]
    (pets / "table.csv").write_text("\n".join(["path,label", *rows]), encoding="utf-8")
    ahead = begin(pets / "table.csv")
    one = ahead._begun["cats/1.png"]
    assert ahead.take("cats/1.png").facts is not None
    assert ahead.take("cats/1.png") is None
    ahead._begun["cats/1.png"] = one
    assert same(found(pets / "table.csv", ahead), plain(pets / "table.csv"))


def test_a_folder_that_makes_no_sense_is_for_the_scan_to_tell(tmp_path: Path, begin) -> None:
    ahead = begin(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no such folder"):
        scan(tmp_path / "nowhere", keeper=Hastened(Kept(), ahead))


def test_what_is_dropped_is_not_read(pets: Path, monkeypatch) -> None:
    """Requests that no worker has begun are cancelled, and those to come are not made."""
    made = []

    def submit(crew, job, some):
        made.append(module.Future())
        return made[-1]

    monkeypatch.setattr(Crew, "submit", submit)
    ahead = Ahead()
    ahead.begin(partial(ahead_of_scan, pets, follow_links=False, new_only=False), SIZES)
    ahead.has_pixels(SIZES)
    began = time.monotonic()
    ahead.drop()
    ahead.drop()
    assert len(made) == 3
    assert all(future.cancelled() for future in made)
    assert time.monotonic() - began < 10
    assert not ahead.has_pixels(SIZES)
