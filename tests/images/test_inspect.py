from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sortograph.errors import PhotoError
from sortograph.images import inspect as module
from sortograph.images.decode import open_photo
from sortograph.images.inspect import facts_of, inspect, read_bytes, read_photo
from sortograph.images.look import CANONICAL, look_of
from sortograph.images.photo import Photo
from sortograph.records import LOOK

posix = pytest.mark.skipif(os.name != "posix", reason="needs pipes and links")


def noise(height: int, width: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif", "bmp", "tif"])
def test_facts_of_a_photo(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    noise(300, 500).save(path)
    facts = inspect(path)
    assert (facts.width, facts.height) == (500, 300)
    assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_facts_hold_the_look_of_the_canonical_decode(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    noise(600, 900).save(path)
    data = path.read_bytes()
    look = look_of(open_photo(data, at_least=CANONICAL), len(data))
    for facts in (facts_of(data), inspect(path)):
        assert facts.look is not None
        assert (facts.look.shape, facts.look.dtype) == ((), LOOK)
        assert facts.look.tobytes() == look.tobytes()
        assert facts.look["bytes"] == path.stat().st_size


def test_a_photo_that_was_opened_is_not_opened_again(tmp_path: Path) -> None:
    noise(30, 50).save(tmp_path / "a.png")
    noise(30, 50).rotate(90).save(tmp_path / "b.png")
    data, other = ((tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    facts = facts_of(data, Photo(other))
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert facts.look is not None
    assert facts.look.tobytes() == look_of(open_photo(other), len(data)).tobytes()


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff\xd8\xff"])
def test_no_facts_of_what_is_no_photo(data: bytes) -> None:
    with pytest.raises(PhotoError):
        facts_of(data)


def test_photos_of_an_index_are_named_by_posix_paths(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "a.jpg").write_bytes(b"abc")
    assert read_photo(tmp_path, "cats/a.jpg") == b"abc"


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "JPEG"])
def test_a_wrong_suffix_does_not_matter(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("a.png" if kind == "JPEG" else "a.jpg")
    noise(30, 50).save(path, kind)
    assert (inspect(path).width, inspect(path).height) == (50, 30)


@pytest.mark.parametrize("suffix", ["jpg", "tif", "png"])
def test_size_is_that_of_the_turned_original(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    path = tmp_path / f"a.{suffix}"
    noise(300, 500).save(path, exif=exif)
    assert (inspect(path).width, inspect(path).height) == (300, 500)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_cut_photo_is_refused_though_its_header_is_fine(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    noise(400, 400).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(PhotoError, match="damaged"):
        inspect(path)


def test_missing_folder_and_bad_names(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="no such file"):
        read_bytes(tmp_path / "a.jpg")
    with pytest.raises(PhotoError, match="folder"):
        read_bytes(tmp_path)
    with pytest.raises(PhotoError, match="cannot be opened"):
        read_bytes(tmp_path / "a\0b.jpg")
    with pytest.raises(PhotoError, match="cannot be opened"):
        read_bytes(tmp_path / ("a" * 5000))


@posix
def test_links(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "good").symlink_to(tmp_path / "a")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert read_bytes(tmp_path / "good") == b"abc"
    with pytest.raises(PhotoError, match="link to nothing"):
        read_bytes(tmp_path / "dangling")
    with pytest.raises(PhotoError, match="cannot be opened"):
        read_bytes(tmp_path / "loop")


def refused_in_time(path: Path) -> str:
    """The reason of the refusal; a call that blocks fails the test instead of hanging it."""
    reasons: list[str] = []

    def read() -> None:
        try:
            read_bytes(path)
        except PhotoError as error:
            reasons.append(error.what)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(5)
    assert reasons, "read_bytes blocked or gave bytes"
    return reasons[0]


@posix
def test_pipes_and_sockets_are_refused_without_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "regular" in refused_in_time(tmp_path / "pipe.jpg")
    monkeypatch.chdir(tmp_path)  # socket names are limited to about 100 bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.jpg")
        assert "regular" in refused_in_time(tmp_path / "s.jpg")


@posix
def test_a_file_that_turns_into_a_pipe_is_refused_without_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "file.jpg").write_bytes(b"abc")
    regular = (tmp_path / "file.jpg").stat()
    monkeypatch.setattr(Path, "stat", lambda self, **options: regular)
    assert "regular" in refused_in_time(tmp_path / "pipe.jpg")


@posix
def test_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"abc")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(PhotoError, match="cannot be opened"):
        read_bytes(path)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[bytes], int]]:
    """Opens a file of some content."""
    handles: list[int] = []

    def make(data: bytes) -> int:
        (tmp_path / "file").write_bytes(data)
        handles.append(os.open(tmp_path / "file", os.O_RDONLY | getattr(os, "O_BINARY", 0)))
        return handles[-1]

    yield make
    for handle in handles:
        os.close(handle)


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes the system was asked for, call by call."""
    asked: list[int] = []
    read = os.read

    def noted(handle: int, size: int) -> bytes:
        asked.append(size)
        return read(handle, size)

    monkeypatch.setattr(os, "read", noted)
    return asked


def test_no_more_is_asked_for_than_there_is(opened: Callable[[bytes], int], asked_for: list[int]) -> None:
    assert module._read(opened(b"x" * 100), 100) == b"x" * 100
    assert asked_for == [101]


@pytest.mark.parametrize("before", [0, 1, 50, 99, 101, 200])
def test_a_file_that_changes_meanwhile_is_read_to_its_end(
    before: int, opened: Callable[[bytes], int]
) -> None:
    data = bytes(range(100))
    assert module._read(opened(data), before) == data


def test_a_file_that_comes_in_pieces_is_read_to_its_end(
    opened: Callable[[bytes], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = os.read
    monkeypatch.setattr(os, "read", lambda handle, size: read(handle, min(size, 7)))
    assert module._read(opened(bytes(range(100))), 100) == bytes(range(100))


@pytest.mark.parametrize("before", [0, 50, 100])
def test_a_file_that_grows_past_the_limit_is_refused(
    before: int, opened: Callable[[bytes], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    handle = opened(b"x" * 1000)
    with pytest.raises(PhotoError, match="above the limit"):
        module._read(handle, before)
    assert os.lseek(handle, 0, os.SEEK_CUR) == 101
    assert module._read(opened(b"x" * 100), before) == b"x" * 100


def test_too_large_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 10)
    (tmp_path / "a.jpg").write_bytes(b"x" * 11)
    with pytest.raises(PhotoError, match="above the limit"):
        read_bytes(tmp_path / "a.jpg")
