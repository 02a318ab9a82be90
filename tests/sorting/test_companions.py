from __future__ import annotations

import os

import pytest

from sortograph.sorting.companions import companions, matched, tail_of


@pytest.mark.parametrize(
    "name",
    [
        "a.CR2", "a.cr3", "a.NEF", "a.ARW", "a.DNG", "a.RAF", "a.ORF", "a.RW2", "a.xmp", "a.XMP", "a.jpg.xmp",
        "a.AAE", "a.MOV", "a.mov", "a.CR2.xmp",
    ],
)  # fmt: skip
def test_what_travels(name):
    assert matched(["a.jpg"], [name]) == {"a.jpg": [name]}


@pytest.mark.parametrize(
    "name", ["b.CR2", "a.txt", "a.png", "ab.xmp", "a.jpg.txt", "A.CR2", "a.png.xmp", "a", ".xmp", "a.mp4"]
)
def test_what_does_not(name):
    assert matched(["a.jpg"], [name]) == {"a.jpg": []}


def test_photos_of_one_stem_share():
    others = ["IMG_1.HEIC", "IMG_1.JPG", "IMG_1.MOV", "IMG_1.JPG.xmp", "IMG_1.AAE"]
    found = matched(["IMG_1.JPG", "IMG_1.HEIC"], others)
    assert found == {"IMG_1.HEIC": ["IMG_1.AAE", "IMG_1.MOV"], "IMG_1.JPG": ["IMG_1.JPG.xmp"]}


def test_names_with_dots():
    assert matched(["a.b.jpg"], ["a.b.xmp", "a.xmp"]) == {"a.b.jpg": ["a.b.xmp"]}
    assert tail_of("x/a.b.jpg", "x/a.b.jpg.xmp") == ".jpg.xmp"


def test_only_plain_files(tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "a.CR2").mkdir()
    (tmp_path / "a.NEF").touch()
    try:
        (tmp_path / "a.xmp").symlink_to(tmp_path / "a.jpg")
    except OSError:
        pytest.skip("links need rights here")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "a.aae")
    assert companions(tmp_path, ["a.jpg"]) == {"a.jpg": ["a.NEF"]}
