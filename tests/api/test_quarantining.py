"""Photos moved out of the way and back, as a program does it."""

from __future__ import annotations

import shutil

import pytest

from sortograph.api.quarantining import quarantine
from sortograph.errors import DataError, UsageError
from sortograph.moving import Aside, make_plan, write_plan


@pytest.fixture
def plan(tmp_path):
    folder = tmp_path / "photos" / "cat"
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / f"{number}.png").write_bytes(bytes([number]))
    wanted = [Aside(f"cat/{number}.png", "blank", "one colour") for number in range(2)]
    write_plan(make_plan(tmp_path / "photos", wanted), tmp_path / "plan.json")
    return tmp_path / "plan.json"


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


def test_there_and_back(plan, tmp_path):
    seen = []
    assert quarantine(str(plan), dry_run=True).moved == ("cat/0.png", "cat/1.png")
    assert len(names(tmp_path / "photos")) == 3
    moved = quarantine(plan, progress=seen.append)
    assert moved.moved == ("cat/0.png", "cat/1.png")
    assert (seen[-1].done, seen[-1].total) == (2, 2)
    assert names(tmp_path / "photos") == ["cat/2.png"]
    assert names(moved.to) == ["cat/0.png", "cat/1.png"]
    assert sorted(quarantine(plan, undo=True).moved) == ["cat/0.png", "cat/1.png"]
    assert len(names(tmp_path / "photos")) == 3


def test_no_journal_is_written_among_the_photos(plan, tmp_path):
    inside = tmp_path / "photos" / "plan.json"
    shutil.move(plan, inside)
    with pytest.raises(UsageError, match="among the photos"):
        quarantine(inside)
    assert names(tmp_path / "photos") == [f"cat/{number}.png" for number in range(3)]
    assert {path.name for path in (tmp_path / "photos").iterdir()} == {"cat", "plan.json"}


def test_without_a_plan(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        quarantine(tmp_path / "none.json")
    assert list(tmp_path.iterdir()) == []
