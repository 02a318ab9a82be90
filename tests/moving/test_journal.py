from __future__ import annotations

import errno
import os
import subprocess
import sys
import tracemalloc

import pytest

from sortograph.errors import DataError, StorageError
from sortograph.moving.journal import Journal, alone, read_journal


def lines_of(path, *lines):
    journal = Journal(path)
    for line in lines:
        journal.write(line, durable=True)
    journal.close()


def test_what_is_written_is_read(tmp_path):
    lines = [{"path": "개/\udcff.png"}, {"n": 2}]
    lines_of(tmp_path / "j", *lines)
    assert list(read_journal(tmp_path / "j")) == lines
    assert list(read_journal(tmp_path / "none")) == []


def test_a_line_that_was_cut_short_is_left_out_and_cut_away(tmp_path):
    path = tmp_path / "j"
    lines_of(path, {"n": 1})
    path.write_bytes(path.read_bytes() + b'{"n": 2')
    assert list(read_journal(path)) == [{"n": 1}]
    lines_of(path, {"n": 3})
    assert list(read_journal(path)) == [{"n": 1}, {"n": 3}]


@pytest.mark.parametrize("whole", [0, 1, 3])
@pytest.mark.parametrize("half", [0, 1, 1 << 16, 200_000])
def test_however_long_the_cut_line_is_only_that_goes(tmp_path, whole, half):
    path = tmp_path / "j"
    lines = [{"n": n, "text": "x" * 100_000} for n in range(whole)]
    lines_of(path, *lines)
    with path.open("ab") as file:
        file.write(b"{" * half)
    lines_of(path, {"n": "new"})
    assert list(read_journal(path)) == [*lines, {"n": "new"}]


def test_a_long_journal_is_not_held_in_memory(tmp_path):
    path = tmp_path / "j"
    lines_of(path, *({"n": n, "text": "x" * 1000} for n in range(4000)))
    tracemalloc.start()
    try:
        assert sum(line["n"] for line in read_journal(path)) == sum(range(4000))
        Journal(path).close()
        assert tracemalloc.get_traced_memory()[1] < path.stat().st_size / 10
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("content", [b"{}\nno\n{}\n", b"[]\n", b"\xff\n", b"[" * 99_999 + b"\n"])
def test_damage_is_refused(tmp_path, content):
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(DataError, match="journal cannot be read"):
        list(read_journal(tmp_path / "j"))


def test_durable_lines_are_flushed_to_the_disk(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    journal = Journal(tmp_path / "j")
    journal.write({})
    assert flushed == []
    journal.write({}, durable=True)
    assert len(flushed) == 1
    journal.close()


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    def full(_handle):
        raise OSError(errno.ENOSPC, "no space")

    journal = Journal(tmp_path / "j")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="the disk is full"):
        journal.write({"n": 1}, durable=True)
    journal.close()


def test_another_process_is_refused(tmp_path):
    code = (
        "import sys; from pathlib import Path; from sortograph.moving.journal import alone\n"
        "with alone(Path(sys.argv[1])): pass"
    )
    with alone(tmp_path / "plan"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "plan")], capture_output=True, text=True
        )
    assert "another process is at work on it" in done.stderr
    with alone(tmp_path / "plan"):
        pass
    assert list(tmp_path.iterdir()) == []
