"""A stop at any moment, and any error of the disk: nothing is lost, all can be gone on with, and undone."""

from __future__ import annotations

import errno
import os
from itertools import count
from pathlib import Path

import pytest

from sortograph import sorting
from sortograph.errors import SortographError, StorageError

FILES = {"1.jpg": b"one", "1.xmp": b"settings", "a/1.jpg": b"two"}
ANSWERS = {"1.jpg": "cat", "a/1.jpg": "cat"}
THERE = {"cat/1.jpg", "cat/1.xmp", "cat/1-2.jpg"}


@pytest.fixture(autouse=True)
def _quick(quick):
    pass


WAYS = ("move", "copy", "symlink", "hardlink", "move far", "copy far")  # far: to another disk


@pytest.fixture(params=WAYS)
def way(request):
    way, _, far = request.param.partition(" ")
    if far:
        request.getfixturevalue("far_away")
    return way


@pytest.fixture
def homes(tmp_path, fill):
    def make():
        for number in count():
            yield fill(tmp_path / str(number) / "photos", FILES).parent

    return make()


def journal_of(home: Path) -> Path | None:
    return next((home / "sorted" / ".sortograph").glob("sort-*.jsonl"), None)


def contents(folder: Path) -> list[bytes]:
    return sorted(
        path.read_bytes() for path in folder.rglob("*") if path.is_file() and "sort" not in path.name
    )


def all_there(home: Path, way: str, tree) -> None:
    there = {path for path, facts in tree(home / "sorted", hidden=False).items() if facts != (b"", 0, 0)}
    assert there == THERE
    assert [(home / "sorted" / path).read_bytes() for path in ("cat/1.jpg", "cat/1-2.jpg")] == [
        b"one",
        b"two",
    ]
    left = {path for path, facts in tree(home / "photos").items() if facts[1]}
    assert left == (set() if way == "move" else set(FILES))


def go_on(home: Path, way: str, before, tree) -> None:
    """Whatever was done until then: on to the end, or, where the plan was not yet written, back."""
    journal = journal_of(home)
    if journal is None:
        assert tree(home / "photos") == before
        return
    try:
        resumed = sorting.resume(journal)
    except SortographError:
        assert b'"ready"' not in journal.read_bytes()
        assert tree(home / "photos") == before
    else:
        assert resumed.left == ()
        all_there(home, way, tree)
    assert sorting.undo(journal).left == ()
    assert tree(home / "photos") == before
    assert not journal.exists()
    assert [path for path in tree(home / "sorted") if not path.startswith(".sortograph")] == []


def test_stopped_at_every_step_of_sorting(homes, stopped_at, killed, tree, planned, way):
    for step, home in enumerate(homes, 1):
        before = tree(home / "photos")
        plan = planned(home / "photos", home / "sorted", ANSWERS, way)
        try:
            with stopped_at(step):
                sorting.apply(plan)
            break
        except killed:
            assert set(FILES.values()) <= set(contents(home))
            go_on(home, way, before, tree)
    assert step > 8


def test_stopped_at_every_step_of_undoing(homes, stopped_at, killed, tree, planned, way):
    for step, home in enumerate(homes, 1):
        before = tree(home / "photos")
        journal = sorting.apply(planned(home / "photos", home / "sorted", ANSWERS, way)).journal
        try:
            with stopped_at(step):
                sorting.undo(journal)
            break
        except killed:
            assert set(FILES.values()) <= set(contents(home))
            if journal.exists():
                if step % 2:  # on, after it was on its way back
                    assert sorting.resume(journal).left == ()
                    all_there(home, way, tree)
                assert sorting.undo(journal).left == ()
            assert tree(home / "photos") == before
            assert [path for path in tree(home / "sorted") if not path.startswith(".sortograph")] == []
    assert step > 4


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_every_write_may_fail(homes, tree, planned, way, failing_at, number):
    """From the n-th write on the disk refuses all: told in words, with the journal; nothing is lost."""
    fixes: list[bool] = []
    for step, home in enumerate(homes, 1):
        before = tree(home / "photos")
        plan = planned(home / "photos", home / "sorted", ANSWERS, way)
        try:
            with failing_at(step, number):
                sorting.apply(plan)
            break
        except StorageError as error:
            ways_out = "sort --resume" in error.fix and "sortograph undo" in error.fix
            journal = journal_of(home)
            if journal is not None:
                fixes.append(ways_out)
            assert set(FILES.values()) <= set(contents(home))
            go_on(home, way, before, tree)
    assert fixes
    assert all(fixes)
    assert step > 5


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_every_write_of_an_undo_may_fail(homes, tree, planned, failing_at, number):
    for step, home in enumerate(homes, 1):
        before = tree(home / "photos")
        journal = sorting.apply(planned(home / "photos", home / "sorted", ANSWERS, "move")).journal
        try:
            with failing_at(step, number):
                sorting.undo(journal)
            break
        except StorageError:
            assert set(FILES.values()) <= set(contents(home))
            assert sorting.undo(journal).left == ()
            assert tree(home / "photos") == before
    assert step > 3


def test_ctrl_c_names_the_journal(homes, planned, tree, monkeypatch):
    home = next(homes)
    before, real = tree(home / "photos"), os.unlink

    def press(path, **options):
        if "photos" in Path(path).parts:
            monkeypatch.setattr(os, "unlink", real)
            raise KeyboardInterrupt
        real(path, **options)

    monkeypatch.setattr(os, "unlink", press)
    with pytest.raises(SortographError, match="stopped; nothing is lost") as caught:
        sorting.apply(planned(home / "photos", home / "sorted", ANSWERS))
    assert caught.value.exit_code == 130
    assert str(journal_of(home)) in caught.value.fix
    go_on(home, "move", before, tree)


def test_a_photo_that_was_edited_between_its_two_names_stays(homes, planned, killed, monkeypatch):
    home, real = next(homes), os.unlink

    def stop(path, **options):
        if str(path).endswith(str(Path("photos", "1.jpg"))):
            raise killed
        real(path, **options)

    plan = planned(home / "photos", home / "sorted", ANSWERS)
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", stop)
        with pytest.raises(killed):
            sorting.apply(plan)
    (home / "photos" / "1.jpg").write_bytes(b"edited")
    done = sorting.resume(journal_of(home))
    assert [file.path for file in done.left] == ["1.jpg"]
    assert (home / "photos" / "1.jpg").read_bytes() == b"edited"
    assert not (home / "sorted" / "cat" / "1.jpg").exists()


@pytest.mark.parametrize("name", ["1.jpg", "1.xmp"])
def test_a_photo_that_is_replaced_while_it_is_moved_is_not_lost(homes, planned, monkeypatch, name):
    """An editor saves by renaming over the old file, right after it got its new name. What belongs to it
    stays with it."""
    home, real = next(homes), os.link
    photo = home / "photos" / name

    def link(old, new, **options):
        real(old, new, **options)
        if Path(old).name == name and Path(old).parent.name == "photos":
            (home / "new").write_bytes(b"saved")
            (home / "new").replace(photo)

    monkeypatch.setattr(os, "link", link)
    done = sorting.apply(planned(home / "photos", home / "sorted", ANSWERS))
    assert {file.path for file in done.left} == {"1.jpg", "1.xmp"}
    assert photo.read_bytes() == b"saved"
    assert sorted(path.name for path in (home / "photos").iterdir()) == ["1.jpg", "1.xmp", "a"]
    assert [path.name for path in (home / "sorted" / "cat").iterdir()] == ["1-2.jpg"]


def test_a_file_that_another_program_puts_there_meanwhile_is_kept(homes, planned, monkeypatch):
    home, real = next(homes), os.link

    def link(old, new, **options):
        if Path(new).name == "1-2.jpg" and not Path(new).exists():
            Path(new).write_bytes(b"foreign")
        real(old, new, **options)

    monkeypatch.setattr(os, "link", link)
    done = sorting.apply(planned(home / "photos", home / "sorted", ANSWERS))
    assert [file.path for file in done.left] == ["a/1.jpg"]
    assert (home / "photos" / "a" / "1.jpg").read_bytes() == b"two"
    assert (home / "sorted" / "cat" / "1-2.jpg").read_bytes() == b"foreign"
    assert sorting.undo(done.journal).left == ()
    assert (home / "sorted" / "cat" / "1-2.jpg").read_bytes() == b"foreign"
