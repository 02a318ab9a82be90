from __future__ import annotations

import json
import os
import shutil

import pytest

from sortograph import sorting
from sortograph.errors import DataError, PhotoError
from sortograph.moving.journal import read_journal
from sortograph.sorting import carry

WAYS = ("copy", "move", "hardlink", "symlink")


@pytest.fixture
def into(tmp_path):
    return tmp_path / "sorted"


@pytest.fixture(params=WAYS)
def way(request):
    return request.param


def there(into, tree):
    return {path: facts for path, facts in tree(into, hidden=False).items() if facts != (b"", 0, 0)}


def test_every_way_there_and_back(source, into, planned, answers, tree, way):
    before = tree(source)
    done = sorting.apply(planned(source, into, answers, way))
    assert (done.applied, done.left) == (4, ())
    found = there(into, tree)
    assert len(found) == 6
    if way == "symlink":
        assert (into / "cat" / "1.jpg").resolve() == source / "1.jpg"
    else:
        assert found["cat/1.jpg"] == before["1.jpg"]
        assert found["cat/1.CR2"] == before["1.CR2"]
    gone = {"trip", "trip/notes.txt"} if way == "move" else set(before)
    assert set(tree(source)) == gone
    assert done.journal.parent == into / ".sortograph"
    undone = sorting.undo(done.journal)
    assert undone.left == ()
    assert sorted(undone.undone) == sorted(file.path for file in done.plan.files)
    assert undone.journal is None
    assert tree(source) == before
    assert not into.exists()


def test_what_was_there_before_stays(source, into, planned, answers, tree, fill, way):
    fill(into, {"cat/1.jpg": b"mine", "dog/2.jpg": b"mine, too", "readme.txt": b"text"})
    before = tree(into)
    done = sorting.apply(planned(source, into, answers, way))
    assert (into / "cat" / "1.jpg").read_bytes() == b"mine"
    sorting.undo(done.journal)
    assert tree(into) == before


def test_sorting_twice_copies_nothing_again(source, into, planned, answers, tree):
    sorting.apply(planned(source, into, answers, "copy"))
    before = there(into, tree)
    again = planned(source, into, answers, "copy")
    assert again.files == ()
    assert len(again.identical) == 6
    assert sorting.apply(again).journal is None
    assert there(into, tree) == before


def test_photos_that_changed_after_the_plan_are_left(source, into, planned, answers):
    plan = planned(source, into, answers)
    (source / "1.CR2").write_bytes(b"RAW")  # as long as before
    os.utime(source / "1.CR2", ns=(0, plan.files[1].mtime_ns))
    (source / "trip" / "새.jpg").unlink()
    done = sorting.apply(plan)
    reasons = {file.path: file.reason for file in done.left}
    assert set(reasons) == {"1.jpg", "1.CR2", "1.jpg.xmp", "trip/새.jpg"}
    assert "changed" in reasons["1.jpg"]
    assert reasons["trip/새.jpg"] == "it is gone"
    assert (source / "1.CR2").read_bytes() == b"RAW"
    assert done.applied == 2


def test_names_that_are_taken_after_the_plan(source, into, planned, answers, fill):
    plan = planned(source, into, answers)
    fill(into / "cat", {"1.CR2": b"new"})
    done = sorting.apply(plan)
    assert (into / "cat" / "1.CR2").read_bytes() == b"new"
    assert (into / "cat" / "1-3.CR2").read_bytes() == b"raw"  # 2 is that of another photo
    assert (into / "cat" / "1-3.jpg").read_bytes() == b"one"
    assert done.left == ()
    sorting.undo(done.journal)
    assert [path.name for path in (into / "cat").iterdir()] == ["1.CR2"]


def test_undo_touches_nothing_that_was_changed_since(source, into, planned, answers, tree, way):
    done = sorting.apply(planned(source, into, answers, way))
    (into / "cat" / "1-2.jpg").unlink()
    (into / "cat" / "1-2.jpg").write_bytes(b"edited")
    (into / "새" / "새.jpg").rename(into / "cat" / "새.jpg")
    before = there(into, tree)
    undone = sorting.undo(done.journal)
    assert {file.path for file in undone.left} == {"cat/1-2.jpg", "새/새.jpg"}
    assert undone.journal == done.journal
    left = there(into, tree)
    assert left == {path: before[path] for path in ("cat/1-2.jpg", "cat/새.jpg")}
    (into / "cat" / "새.jpg").rename(into / "cat" / "elsewhere.jpg")
    assert {file.path for file in sorting.undo(done.journal).left} == {"cat/1-2.jpg", "새/새.jpg"}


@pytest.mark.parametrize("way", ["copy", "hardlink"])
def test_a_copy_whose_original_is_gone_stays(source, into, planned, answers, way):
    done = sorting.apply(planned(source, into, answers, way))
    (source / "1.jpg").unlink()
    (source / "1.CR2").unlink()
    (source / "1.CR2").write_bytes(b"edited")
    undone = sorting.undo(done.journal)
    assert {file.path for file in undone.left} == {"cat/1.jpg", "cat/1.CR2"}
    assert (into / "cat" / "1.jpg").read_bytes() == b"one"


def test_undo_where_something_is_at_the_old_place(source, into, planned, answers):
    done = sorting.apply(planned(source, into, answers))
    (source / "1.jpg").write_bytes(b"new")
    undone = sorting.undo(done.journal)
    assert [(file.path, "old place" in file.reason) for file in undone.left] == [("cat/1.jpg", True)]
    assert (source / "1.jpg").read_bytes() == b"new"
    assert (into / "cat" / "1.jpg").read_bytes() == b"one"


def test_emptied_folders_stay_and_lost_ones_come_back(source, into, planned, answers, tree):
    (source / "trip" / "notes.txt").unlink()
    before = tree(source)
    done = sorting.apply(planned(source, into, answers))
    assert (source / "trip").is_dir()
    (source / "trip").rmdir()
    sorting.undo(done.journal)
    assert tree(source) == before


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_sorts_into_one_folder_undone_in_any_order(tmp_path, into, fill, planned, tree, order):
    one = fill(tmp_path / "one", {"1.jpg": b"a", "2.jpg": b"b"})
    two = fill(tmp_path / "two", {"1.jpg": b"c"})
    before = tree(one), tree(two)
    done = [
        sorting.apply(planned(one, into, {"1.jpg": "cat", "2.jpg": "dog"})),
        sorting.apply(planned(two, into, {"1.jpg": "cat"})),
    ]
    for number in order:
        assert sorting.undo(done[number].journal).left == ()
    assert (tree(one), tree(two)) == before
    assert not into.exists()


def test_a_sorted_folder_that_was_carried_elsewhere_can_be_undone(
    tmp_path, source, into, planned, answers, tree
):
    before = tree(source)
    done = sorting.apply(planned(source, into, answers))
    into.rename(tmp_path / "elsewhere")
    assert sorting.undo(tmp_path / "elsewhere" / ".sortograph" / done.journal.name).left == ()
    assert tree(source) == before


@pytest.mark.parametrize("way", ["copy", "move"])
@pytest.mark.parametrize("how", ["renamed", "linked", "within"])
def test_two_folders_that_have_become_one_are_not_undone(
    tmp_path, source, into, planned, answers, tree, way, how
):
    """The photos were deleted or moved, and the sorted ones took their place: they may be the last ones."""
    done = sorting.apply(planned(source, into, answers, way, "{folder}/{name}"))
    place = source
    shutil.rmtree(source)
    if how == "renamed":
        into.rename(source)
    elif how == "within":
        source.mkdir()
        place = into.rename(source / "sorted")
    else:
        place = into
        try:
            source.symlink_to(into)
        except OSError:
            pytest.skip("links need rights here")
    before = tree(place)
    for verb in (sorting.undo, sorting.resume):
        with pytest.raises(DataError, match="lie in each other"):
            verb(place / ".sortograph" / done.journal.name)
    assert tree(place) == before


@pytest.mark.parametrize("way", ["copy", "move", "hardlink"])
def test_the_last_copy_is_never_removed(source, into, planned, answers, way, tree):
    """A folder within one of both leads to the other."""
    done = sorting.apply(planned(source, into, answers, way, "{folder}/{name}"))
    shutil.rmtree(source)
    source.mkdir()
    try:
        (source / "trip").symlink_to(into / "trip")
    except OSError:
        pytest.skip("links need rights here")
    before = {path: facts for path, facts in tree(into, hidden=False).items() if path.startswith("trip")}
    left = {file.path for file in sorting.undo(done.journal).left}
    assert left >= {"trip/1.jpg", "trip/새.jpg"}
    after = {path: facts for path, facts in tree(into, hidden=False).items() if path.startswith("trip")}
    assert after == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_folder_that_looks_like_a_drive(tmp_path, into, fill, planned, tree, way):
    photos = fill(tmp_path / "photos", {"C:/1.jpg": b"a", "d:/x/1.jpg": b"b"})
    before = tree(photos)
    done = sorting.apply(planned(photos, into, {"C:/1.jpg": "cat", "d:/x/1.jpg": "dog"}, way))
    assert done.applied == 2
    assert sorting.resume(done.journal).left == ()
    assert sorting.undo(done.journal).left == ()
    assert tree(photos) == before


@pytest.mark.parametrize("way", ["copy", "move"])
def test_a_companion_that_changes_while_it_is_copied_keeps_its_photo(
    source, into, planned, answers, way, monkeypatch, request
):
    if way == "move":
        request.getfixturevalue("far_away")
    real = shutil.copyfileobj

    def copy(old, new, length):
        real(old, new, length)
        if old.name.endswith("1.CR2"):
            (source / "1.CR2").write_bytes(b"changed")

    monkeypatch.setattr(shutil, "copyfileobj", copy)
    done = sorting.apply(planned(source, into, answers, way))
    reasons = {file.path: file.reason for file in done.left}
    assert set(reasons) == {"1.jpg", "1.CR2", "1.jpg.xmp"}
    assert "while it was copied" in reasons["1.CR2"]
    assert "together with 1.CR2" in reasons["1.jpg"]
    assert [path.name for path in (into / "cat").iterdir()] == ["1-2.jpg"]
    assert {path.name for path in source.iterdir()} >= {"1.jpg", "1.CR2", "1.jpg.xmp"}
    assert sorting.undo(done.journal).left == ()
    assert (source / "1.CR2").read_bytes() == b"changed"


def test_where_files_are_renamed_a_photo_comes_back_to_its_companion(
    source, into, planned, answers, monkeypatch
):
    """As on Windows, and where a disk has no hard links."""
    real = carry.put_new

    def put(old, new, sha256):
        if old.name == "1.CR2":
            raise PhotoError("not today")
        if source in old.parents:
            old.rename(new)
            return None
        return real(old, new, sha256)

    monkeypatch.setattr(carry, "put_new", put)
    done = sorting.apply(planned(source, into, answers))
    assert {file.path for file in done.left} == {"1.jpg", "1.CR2", "1.jpg.xmp"}
    assert (source / "1.jpg").read_bytes() == b"one"
    assert [path.name for path in (into / "cat").iterdir()] == ["1-2.jpg"]


def test_the_journal_of_folders_that_a_later_sort_uses_stays(tmp_path, into, fill, planned):
    one, two = fill(tmp_path / "one", {"1.jpg": b"a"}), fill(tmp_path / "two", {"2.jpg": b"b"})
    first, second = (sorting.apply(planned(root, into, {name: "cat"})).journal
                     for root, name in ((one, "1.jpg"), (two, "2.jpg")))  # fmt: skip
    undone = sorting.undo(first)
    assert (undone.left, undone.journal) == ((), first)
    assert first.exists()
    assert sorting.undo(second).journal is None
    assert not into.exists()


def test_the_journal_in_a_copy_of_the_folder_is_refused(tmp_path, source, into, planned, answers):
    done = sorting.apply(planned(source, into, answers))
    shutil.copytree(into, tmp_path / "copy")
    with pytest.raises(DataError, match="another folder"):
        sorting.undo(tmp_path / "copy" / ".sortograph" / done.journal.name)


def test_journals_that_are_none(tmp_path, source, into, planned, answers):
    for verb in (sorting.undo, sorting.resume):
        with pytest.raises(DataError, match="no such journal"):
            verb(tmp_path / "sort-1.jsonl")
        (tmp_path / "notes.txt").touch()
        with pytest.raises(DataError, match="no journal of a sort"):
            verb(tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").exists()
    done = sorting.apply(planned(source, into, answers))
    lines = done.journal.read_text(encoding="utf-8").splitlines()
    for number, other in [
        (1, lines[1].replace('"."', '"../x"')),
        (3, lines[3].replace('"target": "', '"target": "../')),
        (0, lines[0].replace('"move"', '"shred"')),
        (0, lines[0].replace('"source": "', '"source": "relative')),
        (9, json.dumps({"act": "done", "file": 99})),
        (9, json.dumps({"act": "explode"})),
        (9, lines[0]),
    ]:
        changed = [*lines[:number], other, *lines[number + 1 :]]
        done.journal.write_text("\n".join(changed) + "\n", encoding="utf-8")
        with pytest.raises(DataError, match=f"line {number + 1} of the journal is damaged"):
            sorting.undo(done.journal)
    newer = lines[0].replace('"format_version": 1', '"format_version": 2')
    done.journal.write_text("\n".join([newer, *lines[1:]]) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match="newer sortograph"):
        sorting.resume(done.journal)


def test_acts_are_announced_before_they_are_done(source, into, planned, answers, monkeypatch):
    real, seen = os.link, []

    def link(old, new, **options):
        if "photos" in str(old):
            journal = next((into / ".sortograph").glob("*.jsonl"))
            announced = [line for line in read_journal(journal) if line["act"] == "doing"]
            seen.append(any(str(new).endswith(line["target"].replace("/", os.sep)) for line in announced))
        real(old, new, **options)

    monkeypatch.setattr(os, "link", link)
    sorting.apply(planned(source, into, answers))
    assert seen == [True] * 6 or os.name == "nt"


def test_another_sort_at_the_same_time_is_refused(source, into, planned, answers):
    into.mkdir()
    (into / ".sortograph").mkdir()
    plan = planned(source, into, answers)
    with sorting.new_trail(plan), pytest.raises(DataError, match="another process"):
        sorting.apply(plan)
