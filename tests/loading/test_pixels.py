from __future__ import annotations

import gc
import io
import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sortograph import caches
from sortograph.dataset import scan
from sortograph.errors import RunError
from sortograph.images.decode import decode, open_photo
from sortograph.images.inspect import inspect
from sortograph.images.preprocess import prepare, resize
from sortograph.loading import pixels as module
from sortograph.loading.pixels import PhotoPixels
from sortograph.records import PreprocessSpec, Said

SPEC = PreprocessSpec(size=(12, 10))
MODES = [
    SPEC,
    PreprocessSpec(size=(9, 16), mode="crop", interpolation="bicubic"),
    PreprocessSpec(size=(16, 9), mode="pad", interpolation="lanczos"),
]


@pytest.fixture(autouse=True)
def _own_cache(cache):
    """No test touches the cache of the user."""


@pytest.fixture
def decodes(monkeypatch):
    """A list that grows by one with each photo decoded."""
    calls: list[int] = []

    def counted(data: bytes, at_least: tuple[int, int] | None = None):
        calls.append(len(data))
        return open_photo(data, at_least=at_least)

    monkeypatch.setattr(module, "open_photo", counted)
    return calls


def read(pixels: PhotoPixels, path: Path):
    """What a scan does with one photo."""
    facts = inspect(path)
    if not pixels.has(facts.sha256):
        made = [
            resize(decode(path.read_bytes(), at_least=spec.decoded(factor)), spec, factor)
            for spec, factor in pixels.sizes
        ]
        pixels.keep(facts, made)
    return facts


def read_all(pixels: PhotoPixels, root: Path):
    found = [read(pixels, path) for path in sorted(root.iterdir())]
    pixels.flush()
    return found


def rows(index) -> np.ndarray:
    return np.arange(len(index))


def prepared(root: Path, spec: PreprocessSpec) -> np.ndarray:
    return np.stack([prepare(path.read_bytes(), spec) for path in sorted(root.iterdir())])


@pytest.mark.parametrize("factor", [1.0, 1.2, 1.9])
@pytest.mark.parametrize("spec", MODES, ids=lambda spec: spec.mode)
def test_pixels_for_judging_are_byte_for_byte_those_of_predict(root, make_index, spec, factor):
    pixels = PhotoPixels(spec, factor)
    index = make_index(root, read_all(pixels, root))
    np.testing.assert_array_equal(pixels.evaluation(index, rows(index)), prepared(root, spec))
    again = PhotoPixels(spec, factor)
    np.testing.assert_array_equal(again.evaluation(index, rows(index)), prepared(root, spec))


@pytest.mark.parametrize("spec", MODES, ids=lambda spec: spec.mode)
def test_pixels_for_training_are_larger_by_the_zoom(root, make_index, spec):
    pixels = PhotoPixels(spec, 1.5)
    index = make_index(root, read_all(pixels, root))
    height, width = round(spec.size[0] * 1.5), round(spec.size[1] * 1.5)
    data = [path.read_bytes() for path in sorted(root.iterdir())]
    expected = [resize(decode(photo, at_least=(height, width)), spec, 1.5) for photo in data]
    np.testing.assert_array_equal(pixels.training(index, rows(index)), expected)


def test_what_was_kept_is_there_for_the_next_run(root, make_index, decodes):
    index = make_index(root, read_all(PhotoPixels(SPEC, 1.2), root))
    pixels = PhotoPixels(SPEC, 1.2)
    assert all(pixels.has(content) for content in index.sha256)
    pixels.training(index, rows(index))
    pixels.evaluation(index, rows(index))
    assert decodes == []


def test_another_zoom_lacks_its_own_size_only(root):
    found = read_all(PhotoPixels(SPEC), root)
    zoomed = PhotoPixels(SPEC, 1.2)
    assert not any(zoomed.has(facts.sha256) for facts in found)
    read_all(zoomed, root)
    assert all(zoomed.has(facts.sha256) for facts in found)
    assert all(PhotoPixels(SPEC).has(facts.sha256) for facts in found)


def test_a_scan_through_it_finds_the_same_photos(tmp_path):
    for number in range(8):
        folder = tmp_path / "photos" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 7), (number * 30, 9, 99)).save(folder / f"{number}.png")
    (tmp_path / "photos" / "a" / "broken.png").write_bytes(b"\x89PNG")
    pixels = PhotoPixels(SPEC)
    index = scan(tmp_path / "photos", keeper=pixels)
    pixels.flush()
    assert index.fingerprint == scan(tmp_path / "photos").fingerprint
    assert [bad.path for bad in index.rejected] == ["a/broken.png"]
    expected = np.stack([prepare((index.root / path).read_bytes(), SPEC) for path in index.paths])
    np.testing.assert_array_equal(pixels.evaluation(index, rows(index)), expected)


def test_photos_are_written_on_the_way_when_many_wait(root, cache, monkeypatch):
    monkeypatch.setattr(module, "_FLUSH_BYTES", 2 * 12 * 10 * 3)
    pixels = PhotoPixels(SPEC)
    for path in sorted(root.iterdir())[:3]:
        read(pixels, path)
    assert caches.taken(cache) >= 2 * 12 * 10 * 3


def test_the_cache_lies_in_one_folder_and_nowhere_else(root, cache, tmp_path):
    before = {path: path.read_bytes() for path in root.iterdir()}
    pixels = PhotoPixels(SPEC, 1.2)
    assert not cache.exists()
    read_all(pixels, root)
    assert {path: path.read_bytes() for path in root.iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"photos", "cache"}
    assert len(list(cache.rglob("values.bin"))) == 2


def test_two_runs_share_a_store(root, make_index, decodes):
    one, other = PhotoPixels(SPEC), PhotoPixels(SPEC)
    paths = sorted(root.iterdir())
    found = [read(one if number % 2 else other, path) for number, path in enumerate(paths)]
    one.flush()
    other.flush()
    index = make_index(root, found)
    np.testing.assert_array_equal(one.evaluation(index, rows(index)), prepared(root, SPEC))
    decodes.clear()
    np.testing.assert_array_equal(other.evaluation(index, rows(index)), prepared(root, SPEC))
    assert decodes == []


def test_rows_come_in_the_order_asked_for(root, make_index):
    pixels = PhotoPixels(SPEC)
    index = make_index(root, read_all(pixels, root))
    chosen = np.array([4, 0, 4, 2])
    np.testing.assert_array_equal(pixels.training(index, chosen), prepared(root, SPEC)[chosen])


def test_without_a_writable_cache_a_temporary_folder_serves(root, make_index, cache, decodes):
    cache.write_bytes(b"a file where the folder should be")
    said: list[Said] = []
    pixels = PhotoPixels(SPEC, progress=said.append)
    index = make_index(root, read_all(pixels, root))
    assert [event.warning for event in said] == [True]
    assert "the cache is not used" in said[0].text
    assert str(cache) in said[0].text
    decodes.clear()
    np.testing.assert_array_equal(pixels.evaluation(index, rows(index)), prepared(root, SPEC))
    assert decodes == []
    assert cache.read_bytes().startswith(b"a file")
    assert pixels._temporary is not None
    place = pixels._temporary
    assert place.is_dir()
    del pixels
    gc.collect()
    assert not place.exists()


def test_a_cache_on_a_read_only_disk_is_still_read(root, make_index, decodes, monkeypatch):
    index = make_index(root, read_all(PhotoPixels(SPEC), root))

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "utime", refuse)
    decodes.clear()
    pixels = PhotoPixels(SPEC)
    read_all(pixels, root)
    np.testing.assert_array_equal(pixels.evaluation(index, rows(index)), prepared(root, SPEC))
    assert decodes == []


def test_a_full_cache_means_decoding_again_and_says_so_once(root, make_index, decodes, monkeypatch):
    monkeypatch.setattr(caches, "limit", lambda _: 3 * 12 * 10 * 3)
    monkeypatch.setattr(module, "_FLUSH_BYTES", 2 * 12 * 10 * 3)
    said: list[Said] = []
    pixels = PhotoPixels(SPEC, progress=said.append)
    index = make_index(root, read_all(pixels, root))
    assert [event.warning for event in said] == [True]
    assert "SORTOGRAPH_CACHE" in said[0].text
    for _ in range(2):
        decodes.clear()
        chosen = np.array([5, 0, 3, 1])
        np.testing.assert_array_equal(pixels.training(index, chosen), prepared(root, SPEC)[chosen])
        assert len(decodes) == 2  # 0 and 1 were kept before it was full


def test_a_run_keeps_both_of_its_stores_recent(root, make_index, cache):
    """Hours of training read one store alone; another run would take the other for unused."""
    pixels = PhotoPixels(SPEC, 1.2)
    index = make_index(root, read_all(pixels, root))
    stores = [keys.parent for keys in cache.rglob("keys.bin")]
    assert len(stores) == 2
    for folder in stores:
        os.utime(folder, (0, 0))
    pixels.training(index, rows(index))
    assert all(time.time() - folder.stat().st_mtime < 60 for folder in stores)


def replaced(path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())


@pytest.mark.parametrize(
    ("change", "reason"),
    [(replaced, "changed"), (Path.unlink, "no such file"), (lambda path: path.write_bytes(b""), "changed")],
)
def test_a_photo_that_changed_since_it_was_indexed_is_named(root, make_index, monkeypatch, change, reason):
    monkeypatch.setattr(caches, "limit", lambda _: 0)
    pixels = PhotoPixels(SPEC)
    index = make_index(root, read_all(pixels, root))
    change(root / "3.png")
    np.testing.assert_array_equal(pixels.training(index, np.array([2])), prepared_one(root, 2))
    with pytest.raises(RunError, match=reason) as caught:
        pixels.training(index, rows(index))
    assert caught.value.where == "3.png"
    assert caught.value.fix


def prepared_one(root: Path, number: int) -> np.ndarray:
    return prepare(sorted(root.iterdir())[number].read_bytes(), SPEC)[None]
