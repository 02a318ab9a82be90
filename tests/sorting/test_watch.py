from __future__ import annotations

import os
import sys
import threading

import pytest

from sortograph.errors import MissingExtra
from sortograph.sorting.watch import Arrivals, arriving, notices


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "hot").mkdir()
    return tmp_path / "hot"


def names(photos):
    return sorted(photo.name for photo in photos)


def test_a_photo_is_given_when_it_is_quiet(folder):
    arrivals = Arrivals(folder, quiet=2)
    assert arrivals.look(0) == []
    assert not arrivals.waiting
    photo = folder / "1.jpg"
    photo.write_bytes(b"half")
    assert arrivals.look(1) == []
    assert arrivals.waiting
    assert arrivals.look(2.9) == []
    photo.write_bytes(b"half and more")
    assert arrivals.look(3.1) == []
    assert arrivals.look(5) == []
    assert names(arrivals.look(5.2)) == ["1.jpg"]
    assert not arrivals.waiting
    assert arrivals.look(9) == []
    photo.write_bytes(b"another one")
    assert arrivals.look(10) == []
    assert names(arrivals.look(13)) == ["1.jpg"]


def test_a_photo_waits_for_what_belongs_to_it(folder):
    arrivals = Arrivals(folder, quiet=2)
    (folder / "1.jpg").write_bytes(b"photo")
    (folder / "2.jpg").write_bytes(b"photo")
    arrivals.look(0)
    (folder / "1.CR2").write_bytes(b"raw")
    assert names(arrivals.look(1)) == []
    assert names(arrivals.look(2)) == ["2.jpg"]
    assert names(arrivals.look(3)) == ["1.jpg"]


def test_an_empty_file_is_not_whole(folder):
    arrivals = Arrivals(folder, quiet=1)
    (folder / "1.jpg").touch()
    arrivals.look(0)
    assert arrivals.look(5) == []
    assert arrivals.waiting


def test_what_goes_away_is_forgotten(folder):
    arrivals = Arrivals(folder, quiet=1)
    photo = folder / "1.jpg"
    photo.write_bytes(b"photo")
    arrivals.look(0)
    assert names(arrivals.look(2)) == ["1.jpg"]
    facts = photo.stat()
    photo.unlink()
    arrivals.look(3)
    photo.write_bytes(b"photo")
    os.utime(photo, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    arrivals.look(4)
    assert names(arrivals.look(6)) == ["1.jpg"]


def test_notices_wake_it(folder):
    pytest.importorskip("watchdog")
    with notices(folder) as happened:
        found = arriving(folder, happened, quiet=0.05)
        writer = threading.Timer(0.1, (folder / "1.jpg").write_bytes, [b"photo"])
        writer.start()
        assert names(next(found)) == ["1.jpg"]


def test_without_watchdog(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "watchdog.observers", None)
    with pytest.raises(MissingExtra) as caught, notices(folder):
        pass
    assert 'pip install "sortograph[watch]"' in str(caught.value)
