from __future__ import annotations

import os
import sys
import threading

import pytest

from sortograph.errors import MissingExtra
from sortograph.sorting import watch
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


def test_dots_in_names_make_no_group(folder):
    arrivals = Arrivals(folder, quiet=2)
    (folder / "2024.05.01-1.jpg").write_bytes(b"photo")
    arrivals.look(0)
    (folder / "2024.05.01-2.jpg").write_bytes(b"photo")
    arrivals.look(1)
    assert names(arrivals.look(2)) == ["2024.05.01-1.jpg"]
    assert names(arrivals.look(3)) == ["2024.05.01-2.jpg"]


def test_photos_of_one_stem_wait_for_each_other(folder):
    arrivals = Arrivals(folder, quiet=2)
    (folder / "1.jpg").write_bytes(b"photo")
    arrivals.look(0)
    (folder / "1.png").write_bytes(b"photo")
    assert names(arrivals.look(2)) == []
    assert names(arrivals.look(4)) == ["1.jpg", "1.png"]


def test_a_look_takes_each_photo_a_few_times(folder, monkeypatch):
    real, calls = watch._stem, []
    monkeypatch.setattr(watch, "_stem", lambda photo: calls.append(photo) or real(photo))
    for number in range(40):
        (folder / f"{number}.jpg").write_bytes(b"photo")
    arrivals = Arrivals(folder, quiet=2)
    arrivals.look(0)
    assert len(arrivals.look(2)) == 40
    assert len(calls) <= 4 * 40


def test_a_rest_is_taken_in_ticks(folder):
    """Windows hears no Ctrl-C while it waits."""
    waits = []

    class Pressed(threading.Event):
        def wait(self, timeout=None):
            waits.append(timeout)
            if len(waits) == 3:
                raise KeyboardInterrupt
            return False

    with pytest.raises(KeyboardInterrupt):
        next(arriving(folder, Pressed()))
    assert all(0 < wait <= 0.5 for wait in waits)


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
