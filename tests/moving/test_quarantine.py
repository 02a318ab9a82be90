from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sortograph import moving
from sortograph.errors import DataError
from sortograph.moving.journal import alone, read_journal
from sortograph.records import Step

WANTED = ("cat/1.png", "개/3.png", "4.png")


@pytest.fixture
def aside(photos) -> Path:
    return photos.with_name("photos-quarantine")


@pytest.fixture
def all_there(photos, tree):
    before = tree(photos)

    def check(plan):
        assert tree(photos) == before
        assert not photos.with_name("photos-quarantine").exists()

    return check


def test_there_and_back(plan, photos, aside, all_there, tree):
    before = tree(photos)
    moved = moving.apply(plan)
    assert moved.moved == WANTED
    assert moved.skipped == ()
    assert moved.to == aside.resolve()
    assert {name: tree(aside)[name] for name in WANTED} == {name: before[name] for name in WANTED}
    assert set(tree(photos)) == {"cat", "cat/2.png", "개"}  # empty folders stay
    back = moving.undo(plan)
    assert sorted(back.moved) == sorted(WANTED)
    all_there(plan)
    assert moving.undo(plan).moved == ()
    assert {path.name for path in plan.parent.iterdir()} == {
        "photos", "plan.json", "plan.json.journal.jsonl",
    }  # fmt: skip


def test_again_and_again(plan, photos, aside, all_there):
    moving.apply(plan)
    assert moving.apply(plan).moved == ()
    moving.undo(plan)
    assert moving.apply(plan).moved == WANTED
    assert (aside / "cat" / "1.png").exists()
    moving.undo(plan)
    all_there(plan)


def test_json_of_what_was_moved(plan, aside):
    (aside.with_name("photos") / "4.png").unlink()
    data = moving.apply(plan).to_json()
    assert json.loads(json.dumps(data)) == {
        "moved": ["cat/1.png", "개/3.png"],
        "skipped": [{"path": "4.png", "reason": "it is gone"}],
        "journal": plan.resolve().with_name("plan.json.journal.jsonl").as_posix(),
        "to": aside.resolve().as_posix(),
    }


def test_a_dry_run_changes_nothing(plan, photos, all_there, aside):
    names = set(plan.parent.iterdir())
    (photos / "cat" / "1.png").write_bytes(b"eno")
    told = moving.apply(plan, dry_run=True)
    assert told.moved == ("개/3.png", "4.png")
    assert [(photo.path, photo.reason) for photo in told.skipped] == [
        ("cat/1.png", "its content has changed")
    ]
    assert set(plan.parent.iterdir()) == names
    moving.apply(plan)
    journal = plan.with_name("plan.json.journal.jsonl").read_bytes()
    assert sorted(moving.undo(plan, dry_run=True).moved) == ["4.png", "개/3.png"]
    assert plan.with_name("plan.json.journal.jsonl").read_bytes() == journal
    assert (aside / "4.png").exists()


def test_intent_is_on_the_disk_before_the_act(plan, monkeypatch):
    journal, act = plan.with_name("plan.json.journal.jsonl"), "rename" if os.name == "nt" else "link"
    real, flushed, seen = {name: getattr(os, name) for name in (act, "fsync")}, [0], []

    def fsync(handle):
        flushed.append(os.fstat(handle).st_size)
        real["fsync"](handle)

    def move(source, target, **options):
        assert flushed[-1] == journal.stat().st_size
        seen.append(list(read_journal(journal))[-1])
        real[act](source, target, **options)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, act, move)
    moving.apply(plan)
    assert [(line["act"], line["path"]) for line in seen] == [("moving", name) for name in WANTED]


def test_a_copy_at_the_old_place_is_none_of_ours(plan, photos, aside):
    moving.apply(plan)
    (photos / "cat" / "1.png").write_bytes(b"one")
    back = moving.undo(plan)
    assert [photo.path for photo in back.skipped] == ["cat/1.png"]
    assert (photos / "cat" / "1.png").read_bytes() == (aside / "cat" / "1.png").read_bytes() == b"one"


def test_photos_that_a_person_moved_back_are_back(plan, photos, aside, tree):
    before = tree(photos)
    moving.apply(plan)
    (aside / "cat" / "1.png").rename(photos / "cat" / "1.png")
    (aside / "4.png").rename(photos / "4.png")
    assert moving.apply(plan).moved == ("cat/1.png", "4.png")
    (aside / "cat" / "1.png").rename(photos / "cat" / "1.png")
    back = moving.undo(plan)
    assert sorted(back.moved) == ["4.png", "개/3.png"]
    assert back.skipped == ()
    assert tree(photos) == before


def test_photos_that_are_gone_for_good_are_told(plan, photos, aside):
    moving.apply(plan)
    (aside / "4.png").unlink()
    (photos / "4.png").write_bytes(b"new")
    back = moving.undo(plan)
    assert [(photo.path, photo.reason) for photo in back.skipped] == [("4.png", "it is gone from quarantine")]


def test_a_file_of_the_same_content_in_quarantine_is_none_of_ours(
    plan, aside, fill, stopped_at, killed, tree
):
    """Whenever it stops, a photo is not taken for the copy that somebody else has."""
    fill(aside, {"cat/1.png": b"one"})
    photos = aside.with_name("photos")
    before, step = tree(photos), 0
    while True:
        step += 1
        try:
            with stopped_at(step):
                moving.apply(plan)
            break
        except killed:
            moving.undo(plan)
            assert tree(photos) == before
            assert set(tree(aside)) == {"cat", "cat/1.png"}
    assert (aside / "cat" / "1-2.png").exists()


def test_photos_that_changed_are_left_alone(plan, photos, aside):
    (photos / "cat" / "1.png").write_bytes(b"eno")
    (photos / "4.png").write_bytes(b"longer")
    moved = moving.apply(plan)
    assert moved.moved == ("개/3.png",)
    assert {photo.path: photo.reason for photo in moved.skipped} == {
        "cat/1.png": "its content has changed",
        "4.png": "its content has changed",
    }
    assert (photos / "cat" / "1.png").read_bytes() == b"eno"


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_are_left_alone(plan, photos, tmp_path, aside):
    outside = tmp_path / "outside"
    (photos / "개").rename(outside)
    (photos / "개").symlink_to(outside)
    (photos / "4.png").rename(tmp_path / "4.png")
    (photos / "4.png").symlink_to(tmp_path / "4.png")
    aside.mkdir()
    (aside / "cat").symlink_to(outside)
    reasons = {photo.path: photo.reason for photo in moving.apply(plan).skipped}
    assert reasons == {
        "cat/1.png": "its folder in quarantine is a link, or a file",
        "개/3.png": "it lies behind a link",
        "4.png": "a link",
    }
    assert (outside / "3.png").read_bytes() == b"three"


def test_what_lies_in_quarantine_is_never_written_over(plan, photos, aside, tree, fill):
    before = tree(photos)
    fill(aside, {"cat/1.png": b"other", "4.png": b"", "개": b"a file"})
    there = tree(aside)
    moved = moving.apply(plan)
    assert moved.moved == ("cat/1.png", "4.png")
    assert [photo.path for photo in moved.skipped] == ["개/3.png"]
    assert (aside / "cat" / "1-2.png").read_bytes() == b"one"
    assert (aside / "4-2.png").exists()
    moving.undo(plan)
    assert tree(photos) == before
    assert tree(aside) == there


def test_what_appeared_at_the_old_place_is_kept(plan, photos, aside):
    moving.apply(plan)
    (photos / "4.png").write_bytes(b"new")
    assert [photo.path for photo in moving.apply(plan).skipped] == ["4.png"]
    back = moving.undo(plan)
    assert [photo.path for photo in back.skipped] == ["4.png"]
    assert "stays in quarantine" in back.skipped[0].reason
    assert (photos / "4.png").read_bytes() == b"new"
    assert (aside / "4.png").read_bytes() == b""
    (photos / "4.png").unlink()
    assert moving.undo(plan).moved == ("4.png",)
    assert not aside.exists()


def test_what_was_changed_or_removed_in_quarantine_is_told(plan, photos, aside):
    moving.apply(plan)
    (aside / "cat" / "1.png").chmod(0o600)
    (aside / "cat" / "1.png").write_bytes(b"turned")
    (aside / "4.png").unlink()
    back = moving.undo(plan)
    assert back.moved == ("개/3.png",)
    assert {photo.path: photo.reason for photo in back.skipped} == {
        "cat/1.png": "its content has changed",
        "4.png": "it is gone",
    }
    assert (aside / "cat" / "1.png").read_bytes() == b"turned"


def test_undo_makes_folders_again_and_sets_times_and_permissions(plan, photos, aside, all_there):
    moving.apply(plan)
    (photos / "개").rmdir()
    (aside / "4.png").touch()
    (aside / "4.png").chmod(0o600)
    moving.undo(plan)
    all_there(plan)


def test_an_old_folder_that_is_a_file_now(plan, photos, aside):
    moving.apply(plan)
    (photos / "개").rmdir()
    (photos / "개").write_bytes(b"file")
    back = moving.undo(plan)
    assert [photo.path for photo in back.skipped] == ["개/3.png"]
    assert (aside / "개" / "3.png").read_bytes() == b"three"


def test_undo_does_not_need_the_lines_of_the_plan(plan, photos, all_there):
    moving.apply(plan)
    data = json.loads(plan.read_text("utf-8"))
    plan.write_text(json.dumps(data | {"photos": []}), encoding="utf-8")
    assert len(moving.undo(plan).moved) == 3
    all_there(plan)


def test_folders_that_were_moved_are_found_where_the_plan_says(plan, photos, aside, tmp_path):
    moving.apply(plan)
    photos.rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="no such folder"):
        moving.undo(plan)
    data = json.loads(plan.read_text("utf-8"))
    data["root"] = (tmp_path / "elsewhere").resolve().as_posix()
    plan.write_text(json.dumps(data), encoding="utf-8")
    assert len(moving.undo(plan).moved) == 3
    assert (tmp_path / "elsewhere" / "cat" / "1.png").read_bytes() == b"one"


def test_a_journal_of_another_plan_is_refused(plan, photos, planned, tmp_path):
    moving.apply(plan)
    other = planned(tmp_path / "other.json", photos, ["cat/2.png"])
    plan.write_bytes(other.read_bytes())
    for verb in (moving.apply, moving.undo):
        with pytest.raises(DataError, match="belongs to another plan"):
            verb(plan)


@pytest.mark.parametrize(
    "line",
    [
        {"act": "restored", "path": "never/moved.png"},
        {"act": "moving", "path": "cat/2.png", "target": "../x", "sha256": "", "mtime_ns": 0, "mode": 0},
        {"act": "moved", "path": "."},
        {"act": "folder", "path": "../.."},
        {"act": "folder"},
        {"act": "delete", "path": "cat/2.png"},
        {"act": ["folder"], "path": "x"},
        {"path": "x"},
    ],
)
def test_a_damaged_journal_is_refused(plan, line):
    moving.apply(plan)
    with plan.with_name("plan.json.journal.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    with pytest.raises(DataError, match="line 11 of the journal is damaged"):
        moving.undo(plan)


def test_a_newer_journal_is_refused(plan):
    data = json.loads(plan.read_text("utf-8"))
    line = {"act": "begin", "format_version": 2, "plan": data["plan"]}
    plan.with_name("plan.json.journal.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match="newer sortograph"):
        moving.apply(plan)


def test_one_at_a_time(plan, all_there):
    with alone(plan.resolve()), pytest.raises(DataError, match="another process"):
        moving.apply(plan)
    all_there(plan)


def test_progress_is_told(plan):
    seen = []
    moving.apply(plan, progress=seen.append)
    assert [(step.done, step.total) for step in seen if isinstance(step, Step)] == [(1, 3), (2, 3), (3, 3)]


def test_across_disks(plan, far_away, aside, all_there):
    assert moving.apply(plan).moved == WANTED
    assert (aside / "cat" / "1.png").read_bytes() == b"one"
    moving.undo(plan)
    all_there(plan)
