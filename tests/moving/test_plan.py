from __future__ import annotations

import hashlib
import json
import os

import pytest

from sortograph.errors import DataError, StorageError, UsageError
from sortograph.moving import Aside, make_plan, read_plan, write_plan
from sortograph.moving.plan import is_below


def edited(plan, change):
    data = json.loads(plan.read_text("utf-8"))
    change(data)
    plan.write_text(json.dumps(data), encoding="utf-8")
    return plan


def test_a_plan_knows_its_photos(photos):
    made = make_plan(
        photos,
        [Aside("cat/1.png", "blank", "empty"), Aside("4.png", "tiny", "small"), Aside("4.png", "b", "c")],
    )
    assert made.to == photos.resolve().with_name("photos-quarantine")
    assert [(photo.path, photo.check, photo.reason, photo.size) for photo in made.photos] == [
        ("cat/1.png", "blank", "empty", 3),
        ("4.png", "tiny", "small", 0),
    ]
    assert made.photos[0].sha256 == hashlib.sha256(b"one").hexdigest()
    assert made.left_out == ()


def test_what_cannot_be_moved_is_told(photos):
    (photos / "folder").mkdir()
    names = ["gone.png", "../cat/1.png", "folder", "cat/1.png"]
    made = make_plan(photos, [Aside(name, "check", "why") for name in names])
    assert [photo.path for photo in made.photos] == ["cat/1.png"]
    assert {photo.path: photo.reason for photo in made.left_out} == {
        "gone.png": "it is gone",
        "../cat/1.png": "its path cannot be written into a plan",
        "folder": "not a file",
    }


@pytest.mark.parametrize("place", ["photos/aside", "photos", "."])
def test_the_quarantine_folder_and_the_photos_do_not_lie_in_each_other(photos, tmp_path, place):
    with pytest.raises(UsageError, match="lie in each other"):
        make_plan(photos, [], tmp_path / place)


def test_archives_are_never_changed(tmp_path):
    (tmp_path / "photos.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match="read in place and never changed"):
        make_plan(tmp_path / "photos.zip", [])
    with pytest.raises(DataError, match="no such folder"):
        make_plan(tmp_path / "none", [])


def test_a_plan_comes_back_from_its_file(tmp_path, photos, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = make_plan(photos, [Aside("개/3.png", "blank", 'all "one" colour,\n ]')])
    write_plan(made, tmp_path / "p.json")
    assert read_plan(tmp_path / "p.json") == made
    assert made.root == photos.resolve()


def test_nothing_is_written_over(tmp_path, photos, plan):
    with pytest.raises(StorageError, match="such a file already"):
        write_plan(make_plan(photos, []), plan)
    (tmp_path / "new.json.journal.jsonl").touch()
    with pytest.raises(StorageError, match="such a file already"):
        write_plan(make_plan(photos, []), tmp_path / "new.json")


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_any_line_of_a_photo_may_be_deleted(plan, gone):
    lines = plan.read_text("utf-8").splitlines()
    numbers = [n for n, line in enumerate(lines) if '"sha256"' in line]
    del lines[numbers[gone]]
    plan.write_text("\n".join(lines), encoding="utf-8-sig")
    left = ["cat/1.png", "개/3.png", "4.png"]
    del left[gone]
    assert [photo.path for photo in read_plan(plan).photos] == left


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data.update(extra=1), "the plan has an unknown key 'extra'"),
        (lambda data: data.update(quarantin=1), "did you mean 'quarantine'?"),
        (lambda data: data.pop("root"), "the plan lacks 'root'"),
        (lambda data: data.update(root="photos"), "'root' is not an absolute path"),
        (lambda data: data.update(quarantine=data["root"] + "/aside"), "lie in each other"),
        (lambda data: data.update(photos={}), "'photos' of the plan is not a list"),
        (lambda data: data.update(format_version=True), "'format_version' of the plan is not a whole number"),
        (lambda data: data.update(format_version=0), "'format_version' is below 1"),
        (lambda data: data.update(format_version=2), "newer sortograph"),
        (lambda data: data["photos"].append(3), "photo 4 is no JSON object"),
        (lambda data: data["photos"].append(data["photos"][0]), "'cat/1.png' is there 2 times"),
        (lambda data: data["photos"][0].update(size="3"), "'size' of photo 1 is not a whole number"),
        (lambda data: data["photos"][0].update(size=-3), "'size' of photo 1 is below 0"),
        (lambda data: data["photos"][0].update(sha256="ff"), "'sha256' of photo 1"),
        (
            lambda data: data["photos"][1].update(path="../x"),
            "'path' of photo 2 does not lead below the root",
        ),
    ],
)
def test_mistakes_are_refused(plan, change, words):
    with pytest.raises(DataError) as caught:
        read_plan(edited(plan, change))
    assert words in str(caught.value)


def test_all_mistakes_are_told_at_once(plan):
    def change(data):
        data["more"] = 1
        for photo in data["photos"]:
            photo["path"] = "/etc/passwd"

    with pytest.raises(DataError) as caught:
        read_plan(edited(plan, change))
    assert "5 mistakes" in str(caught.value)  # one key, three paths, and that they are the same


@pytest.mark.parametrize("content", [b"", b"[]", b"no", b"\xff", b"[" * 99_999, b'{"photos": [1'])
def test_what_is_no_plan_is_refused(tmp_path, content):
    (tmp_path / "p.json").write_bytes(content)
    with pytest.raises(DataError):
        read_plan(tmp_path / "p.json")
    with pytest.raises(DataError):
        read_plan(tmp_path / "none.json")


@pytest.mark.parametrize(
    "path",
    ["", ".", "..", "a/../b", "./a", "a/", "/a", "//a", "a//b", "a\0", "\ud800"],
)
def test_paths_that_lead_elsewhere(path):
    assert not is_below(path)
    assert not is_below(path, windows=True)


def test_names_that_are_odd_but_safe():
    for path in (
        "-rf",
        "...",
        "a b/ c.png",
        "~",
        "=1+1",
        "$(x)",
        "C:/a",
        "c:\\a",
        "가".encode().decode("ascii", "surrogateescape"),
    ):
        assert is_below(path, windows=False)
    for path in ("C:a", "C:/a", "c:\\a", "a:stream", "a\\..\\b"):
        assert not is_below(path, windows=True)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_an_own_place_below_a_link_into_the_photos_is_refused(tmp_path, photos):
    (tmp_path / "link").symlink_to(photos)
    with pytest.raises(UsageError, match="lie in each other"):
        make_plan(photos, [], tmp_path / "link" / "aside")
