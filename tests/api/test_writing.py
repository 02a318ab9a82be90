from __future__ import annotations

from pathlib import Path

import pytest

from sortograph.api.writing import lies_among


def test_places_among_photos_however_they_are_spelled(own_photos, tmp_path, monkeypatch):
    assert lies_among(own_photos, own_photos / "red" / ".." / "new" / "x.png")
    assert not lies_among(own_photos, tmp_path / "photos-2")
    assert not lies_among(own_photos / "red" / "0.png", own_photos / "red" / "0.png"), "no folder"
    assert not lies_among(tmp_path / ("x" * 5000), tmp_path)
    try:
        (tmp_path / "link").symlink_to(own_photos, target_is_directory=True)
    except OSError:
        pytest.skip("this system lets nobody make links")
    assert lies_among(own_photos, tmp_path / "link" / "red")
    assert lies_among(tmp_path / "link", own_photos / "red")
    monkeypatch.chdir(own_photos / "red")
    assert lies_among(own_photos, Path())
