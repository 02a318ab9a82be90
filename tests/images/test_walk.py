from __future__ import annotations

import os
from pathlib import Path

import pytest

from sortograph.errors import DataError
from sortograph.images.walk import photos_below


def lay(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def found(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in photos_below(root)]


def test_natural_order_folders_and_files_side_by_side(tmp_path):
    lay(tmp_path, "10.jpg", "9.PNG", "a2/x10.jpg", "a2/x9.jpg", "a10/y.webp", "B.jpeg", "b1.gif")
    assert found(tmp_path) == ["9.PNG", "10.jpg", "a2/x9.jpg", "a2/x10.jpg", "a10/y.webp", "b1.gif", "B.jpeg"]


def test_what_is_no_photo_is_left_out(tmp_path):
    lay(
        tmp_path,
        "a.jpg",
        "a.txt",
        "jpg",
        ".hidden.jpg",
        "._a.jpg",
        ".git/b.jpg",
        "__MACOSX/c.jpg",
        "Thumbs.db",
    )
    (tmp_path / "folder.jpg").mkdir()
    assert found(tmp_path) == ["a.jpg"]


def test_what_is_left_out_is_counted_folder_by_folder(tmp_path):
    lay(tmp_path, "a.jpg", "a.txt", ".hidden.jpg", ".git/b.jpg", "in/c.jpg", "in/d.txt", "e/f.jpg")
    counts: list[int] = []
    assert len(list(photos_below(tmp_path, counts.append))) == 3
    assert counts == [3, 0, 1]


def test_linked_folders_are_not_followed(tmp_path):
    lay(tmp_path, "in/a.jpg")
    try:
        (tmp_path / "in" / "loop").symlink_to(tmp_path, target_is_directory=True)
        (tmp_path / "in" / "b.jpg").symlink_to(tmp_path / "in" / "a.jpg")
        (tmp_path / "in" / "c.jpg").symlink_to(tmp_path / "in", target_is_directory=True)
        # Whoever reads these two says why they are none.
        (tmp_path / "in" / "d.jpg").symlink_to(tmp_path / "in" / "d.jpg")
        (tmp_path / "in" / "e.jpg").symlink_to(tmp_path / "nowhere.jpg")
    except OSError:
        pytest.skip("this system lets nobody make links")
    assert found(tmp_path) == ["in/a.jpg", "in/b.jpg", "in/d.jpg", "in/e.jpg"]
    counts: list[int] = []
    list(photos_below(tmp_path / "in", counts.append))
    assert counts == [2]


def test_deep_folders_are_no_problem(tmp_path):
    deep = "/".join(["d"] * 300)
    lay(tmp_path, f"{deep}/a.jpg")
    assert found(tmp_path) == [f"{deep}/a.jpg"]


def test_a_closed_folder_is_told_of(tmp_path, monkeypatch):
    lay(tmp_path, "a.jpg", "b/closed.jpg", "c.jpg")
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert found(tmp_path) == ["a.jpg", "b", "c.jpg"]
    with pytest.raises(DataError, match="cannot be opened"):
        list(photos_below(tmp_path / "b"))
