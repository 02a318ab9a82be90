from __future__ import annotations

from datetime import datetime

import pytest
from PIL import Image

from sortograph.sorting.dates import taken_at

NOON = int(datetime(2020, 2, 3, 12).timestamp()) * 10**9


def photo(path, text):
    exif = Image.Exif()
    if text is not None:
        exif.get_ifd(0x8769)[0x9003] = text
    Image.new("RGB", (4, 4)).save(path, exif=exif.tobytes())
    return path


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_the_camera_says_when(tmp_path, name):
    assert taken_at(photo(tmp_path / name, "2024:05:01 23:59:58"), NOON) == datetime(2024, 5, 1, 23, 59, 58)


@pytest.mark.parametrize(
    "text", [None, "", "0000:00:00 00:00:00", "    :  :     :  :  ", "2024-05-01", "x" * 99]
)
def test_a_camera_that_does_not_know(tmp_path, text):
    assert taken_at(photo(tmp_path / "a.jpg", text), NOON) == datetime(2020, 2, 3, 12)


def test_whatever_the_file_is(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe1\x00\x10Exif\x00\x00II*\x00")
    assert taken_at(tmp_path / "a.jpg", NOON) == datetime(2020, 2, 3, 12)
    assert taken_at(tmp_path / "gone.jpg", NOON) == datetime(2020, 2, 3, 12)
    assert taken_at(tmp_path / "gone.jpg", 10**30) == datetime(1970, 1, 1)
