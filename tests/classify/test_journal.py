"""A table that grows: what a full disk, another program and an end in the middle do to it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from sortograph.classify.journal import Journal
from sortograph.errors import DataError, StorageError
from sortograph.records import Prediction

ABOUT = {"model": "m", "top_k": 1}


def answer(number):
    return Prediction(f"{number}.jpg", "cat", 0.5, (("cat", 0.5),))


def paths(journal):
    return [one.path for one in journal.answers()]


class Full:
    """A disk with room for some bytes more."""

    def __init__(self, file, room):
        self._file, self._room = file, room

    def write(self, data):
        if not self._room:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = self._file.write(bytes(data[: self._room]))
        self._room -= count
        return count

    def __getattr__(self, name):
        return getattr(self._file, name)


@pytest.mark.parametrize("room", [0, 1, 7, 40])
def test_a_full_disk_leaves_whole_rows_that_are_gone_on_with(tmp_path, room):
    journal = Journal(tmp_path / "a.csv", ABOUT, 1, resume=False)
    journal.take(answer(1))
    journal._write()
    journal._out = Full(journal._out, room)
    journal.take(answer(2))
    journal.take(answer(3))
    with pytest.raises(StorageError):
        journal._write()
    assert journal.stop().startswith("1 answer is in ")
    again = Journal(tmp_path / "a.csv", ABOUT, 1, resume=True)
    assert paths(again) == ["1.jpg"]
    again.take(answer(2))
    again.finish()
    lines = (tmp_path / "a.csv").read_text().splitlines()[1:]
    assert lines == ["1.jpg,cat,0.500000,,", "2.jpg,cat,0.500000,,"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_two_at_once_are_refused(tmp_path):
    journal = Journal(tmp_path / "a.csv", ABOUT, 1, resume=False)
    for resume in (True, False):
        with pytest.raises(DataError, match="another process is at work"):
            Journal(tmp_path / "a.csv", ABOUT, 1, resume=resume)
    journal.take(answer(1))
    journal.stop()
    again = Journal(tmp_path / "a.csv", ABOUT, 1, resume=True)
    assert paths(again) == ["1.jpg"]
    again.stop()


def test_a_table_that_could_not_be_put_in_its_place_is_kept(tmp_path):
    journal = Journal(tmp_path / "a.csv", ABOUT, 1, resume=False)
    journal.take(answer(1))

    def fails(_part: Path, _to: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError):
        journal.finish(fails, tmp_path / "a.parquet")
    assert journal.stop() == f"1 answer is in {tmp_path / 'a.csv.part'}"
    again = Journal(tmp_path / "a.csv", ABOUT, 1, resume=True)
    again.finish()
    assert again.stop() == ""
