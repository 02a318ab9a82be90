from __future__ import annotations

import os
import unicodedata
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from sortograph import sorting
from sortograph.errors import DataError, StorageError, UsageError
from sortograph.records import Prediction
from sortograph.sorting import places
from sortograph.sorting.plan import make_plan


def targets(plan):
    return {file.path: file.target for file in plan.files}


@pytest.fixture
def into(tmp_path):
    return tmp_path / "sorted"


def test_counts_and_targets(source, into, planned, answers):
    plan = planned(source, into, answers)
    assert targets(plan) == {
        "1.jpg": "cat/1.jpg", "1.CR2": "cat/1.CR2", "1.jpg.xmp": "cat/1.jpg.xmp",
        "4.jpg": "_unsure/4.jpg", "trip/1.jpg": "cat/1-2.jpg", "trip/새.jpg": "새/새.jpg",
    }  # fmt: skip
    assert plan.counts == {"cat": 2, "새": 1}
    assert plan.unsure == 1
    assert [(row.path, row.target, row.reason) for row in plan.renamed] == [
        ("trip/1.jpg", "cat/1-2.jpg", "another file has its name")
    ]
    assert not into.exists()
    known = plan.to_json()
    assert known["plan"] == {"cat": 2, "새": 1}
    assert (known["unsure"], known["companions"], known["unlike"]) == (1, 2, 0)


def test_companions_get_the_number_of_their_photo(tmp_path, into, fill, planned):
    fill(tmp_path / "photos", {"1.jpg": b"a", "1.CR2": b"raw", "1.jpg.xmp": b"x"})
    fill(into / "cat", {"1.CR2": b"another"})
    assert targets(planned(tmp_path / "photos", into, {"1.jpg": "cat"})) == {
        "1.jpg": "cat/1-2.jpg", "1.CR2": "cat/1-2.CR2", "1.jpg.xmp": "cat/1-2.jpg.xmp",
    }  # fmt: skip


def test_identical_content_is_recognised(tmp_path, into, fill, planned):
    photos = fill(tmp_path / "photos", {"1.jpg": b"a", "x/1.jpg": b"a", "y/1.jpg": b"b", "2.jpg": b"c"})
    fill(into / "cat", {"2.jpg": b"c", "1-2.jpg": b"b"})
    plan = planned(photos, into, dict.fromkeys(["1.jpg", "x/1.jpg", "y/1.jpg", "2.jpg"], "cat"))
    assert targets(plan) == {"1.jpg": "cat/1.jpg"}
    assert {row.path: row.target for row in plan.identical} == {
        "x/1.jpg": "cat/1.jpg", "y/1.jpg": "cat/1-2.jpg", "2.jpg": "cat/2.jpg",
    }  # fmt: skip


def test_a_photo_that_is_there_stays_with_its_companions(tmp_path, into, fill, planned, tree):
    photos = fill(
        tmp_path / "photos", {"1.jpg": b"a", "1.CR2": b"raw", "1.jpg.xmp": b"new", "1.xmp": b"newer"}
    )
    fill(into / "cat", {"1.jpg": b"a", "1.CR2": b"raw", "1.xmp": b"old"})
    before = tree(photos)
    done = sorting.apply(planned(photos, into, {"1.jpg": "cat"}))
    assert done.plan.files == ()
    assert {row.path for row in done.plan.identical} == {"1.jpg", "1.CR2"}
    assert {row.path: row.reason for row in done.plan.unreadable} == dict.fromkeys(
        ["1.jpg.xmp", "1.xmp"], "its photo is there already, without it"
    )
    assert tree(photos) == before


def test_a_companion_that_is_there_alone_goes_with_its_photo(tmp_path, into, fill, planned):
    photos = fill(tmp_path / "photos", {"1.jpg": b"a", "1.xmp": b"x"})
    fill(into / "cat", {"1.xmp": b"x"})
    assert targets(planned(photos, into, {"1.jpg": "cat"})) == {
        "1.jpg": "cat/1-2.jpg",
        "1.xmp": "cat/1-2.xmp",
    }


def test_many_photos_of_one_name(tmp_path, into, fill, planned, monkeypatch):
    """No number is tried twice, no file of the destination read twice, those of other sizes never."""
    many = {f"{n}/1.jpg": b"%03d" % n for n in range(60)}
    photos = fill(tmp_path / "photos", many)
    fill(into / "cat", {f"1-{n}.jpg": b"there %d" % n for n in range(2, 30)})
    fill(into / "cat", {"1.jpg": b"007", "1-30.jpg": b"abc"})
    read, looked = [], []
    real, free = places.fingerprint, places.Taken.free
    monkeypatch.setattr(places, "fingerprint", lambda path: read.append(path.name) or real(path))
    monkeypatch.setattr(places.Taken, "free", lambda taken, path: looked.append(path) or free(taken, path))
    plan = planned(photos, into, dict.fromkeys(many, "cat"))
    assert {row.path: row.target for row in plan.identical} == {"7/1.jpg": "cat/1.jpg"}
    assert sorted(targets(plan).values()) == sorted(f"cat/1-{n}.jpg" for n in range(31, 90))
    assert sorted(read) == ["1-30.jpg", "1.jpg"]
    assert len(looked) == 89


@pytest.mark.skipif(os.name == "nt", reason="Windows has one file for both names")
def test_names_that_differ_only_by_case_or_composition(tmp_path, into, fill, planned):
    nfc, nfd = (unicodedata.normalize(form, "é.jpg") for form in ("NFC", "NFD"))
    names = ["A.jpg", "a.jpg", nfc, f"x/{nfd}"]
    photos = fill(tmp_path / "photos", {name: name.encode() for name in names})
    fill(into / "Dog", {"B.JPG": b"there"})
    fill(photos, {"b.jpg": b"other"})
    plan = planned(photos, into, {**dict.fromkeys(names, "cat"), "b.jpg": "dog"})
    assert sorted(targets(plan).values()) == sorted(
        ["cat/A.jpg", "cat/a-2.jpg", f"cat/{nfc}", f"cat/{nfd[:2]}-2.jpg", "Dog/b-2.jpg"]
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_names_that_windows_does_not_take(tmp_path, into, fill, planned):
    names = ["nul.jpg", "12:30.jpg", os.fsdecode(b"\xff.jpg"), "a. .jpg", "-rf.jpg", "new\nline.jpg"]
    photos = fill(tmp_path / "photos", {name: os.fsencode(name) for name in names})
    plan = planned(photos, into, dict.fromkeys(names, "cat"))
    assert list(targets(plan).values()) == [
        "cat/_nul.jpg", "cat/12_30.jpg", "cat/_.jpg", "cat/a.jpg", "cat/-rf.jpg", "cat/new_line.jpg",
    ]  # fmt: skip
    assert {row.path for row in plan.renamed} == {*names} - {names[4]}


@pytest.mark.skipif(os.name == "nt", reason="needs long names")
def test_long_names(tmp_path, into, fill, planned):
    names = ["가" * 83 + ".jpg", "n" * 250 + ".jpg", "n" * 249 + "m.jpg"]
    photos = fill(tmp_path / "photos", {name: name.encode() for name in names})
    plan = planned(photos, into, dict.fromkeys(names, "cat"))
    made = list(targets(plan).values())
    assert made[0] == f"cat/{names[0]}"
    assert all(len(target) <= 200 for target in made)
    assert len({target.casefold() for target in made}) == 3
    assert all(target.endswith(".jpg") for target in made)


@pytest.mark.skipif(os.name == "nt", reason="needs long names")
def test_names_whose_number_would_not_fit(tmp_path, into, fill, planned):
    """A name of 253 bytes is no longer than others in characters."""
    name = "가" * 83 + ".jpg"
    photos = fill(tmp_path / "photos", {f"{n}/{name}": b"%d" % n for n in range(12)})
    fill(photos, {f"0/{'가' * 83}.xmp": b"x"})
    plan = planned(photos, into, {f"{n}/{name}": "cat" for n in range(12)})
    assert all(len(os.fsencode(file.target.removeprefix("cat/"))) <= 255 for file in plan.files)
    done = sorting.apply(plan)
    assert (done.applied, done.left) == (12, ())


@pytest.mark.skipif(os.name == "nt", reason="needs long names")
def test_a_template_that_makes_names_too_long(tmp_path, into, fill, planned):
    photos = fill(tmp_path / "photos", {"가" * 83 + ".jpg": b"a"})
    plan = planned(photos, into, {"가" * 83 + ".jpg": "새"}, template="{label}-{name}")
    assert len(os.fsencode(plan.files[0].target)) <= 255
    assert sorting.apply(plan).left == ()


def test_the_whole_path_fits_windows(tmp_path, fill):
    photos = fill(tmp_path / "photos", {"n" * 90 + ".jpg": b"a"})
    long = Path("/" + "d" * 190)
    wish = sorting.Wish(
        photos, long, "copy", sorting.read_template("{label}/{name}"), sorting.class_folders(["c"])
    )
    found = [Prediction(str(photos / ("n" * 90 + ".jpg")), "c", 0.9)]
    plan = make_plan(wish, found, windows=True)
    assert len(f"{long}/{plan.files[0].target}") <= 259
    assert make_plan(wish, found, windows=False).files[0].target == f"c/{'n' * 90}.jpg"
    with pytest.raises(StorageError, match="too long a path for Windows"):
        make_plan(replace(wish, destination=Path("/" + "d" * 230)), found, windows=True)


def test_templates(source, into, planned, answers):
    plan = planned(source, into, answers, template="{date:%Y}/{folder}/{label}-{name}")
    assert targets(plan)["trip/새.jpg"] == "2001/trip/새-새.jpg"
    assert targets(plan)["1.jpg.xmp"] == "2001/cat-1.jpg.xmp"


def test_deep_folders_of_a_template_are_refused_photo_by_photo(tmp_path, into, fill, planned):
    deep = "/".join(["d" * 60] * 4)
    photos = fill(tmp_path / "photos", {f"{deep}/1.jpg": b"a", "2.jpg": b"b"})
    plan = planned(photos, into, {f"{deep}/1.jpg": "cat", "2.jpg": "cat"}, template="{folder}/{name}")
    assert [row.path for row in plan.unreadable] == [f"{deep}/1.jpg"]
    assert "too many" in plan.unreadable[0].reason
    assert targets(plan) == {"2.jpg": "2.jpg"}


def test_photos_that_are_gone_or_links_stay(tmp_path, source, into, planned):
    (source / "1.jpg").unlink()
    (source / "trip" / "새.jpg").unlink()
    try:
        (source / "trip" / "새.jpg").symlink_to(source / "4.jpg")
    except OSError:
        pytest.skip("links need rights here")
    plan = planned(source, into, dict.fromkeys(["1.jpg", "trip/새.jpg", "trip/1.jpg"], "dog"))
    assert {row.path: row.reason for row in plan.unreadable} == {
        "1.jpg": "it is gone",
        "trip/새.jpg": "a link",
    }
    assert targets(plan) == {"trip/1.jpg": "dog/1.jpg"}


@pytest.mark.parametrize(
    "spelling", ["photos", "photos/sorted", "photos/../photos/trip", ".", "link", "link/x"]
)
def test_folders_that_lie_in_each_other(tmp_path, source, spelling, tree):
    if "link" in spelling:
        try:
            (tmp_path / "link").symlink_to(source)
        except OSError:
            pytest.skip("links need rights here")
    before = tree(tmp_path)
    with pytest.raises(UsageError, match="lie in each other"):
        sorting.check_ends(source, tmp_path / spelling)
    assert tree(tmp_path) == before


def test_places_that_cannot_be(tmp_path, source):
    with pytest.raises(DataError, match="no such folder"):
        sorting.check_ends(tmp_path / "gone", tmp_path / "sorted")
    with pytest.raises(DataError, match="not a folder"):
        sorting.check_ends(source / "1.jpg", tmp_path / "sorted")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="not a folder"):
        sorting.check_ends(source, tmp_path / "file")
    with pytest.raises(StorageError, match="no such folder"):
        sorting.check_ends(source, tmp_path / "typo" / "sorted")


def test_folders_that_may_not_be_written(tmp_path, source, into, planned, answers, monkeypatch):
    plan, real = planned(source, into, answers), os.access
    shut = source / "trip"
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != shut and real(path, mode))
    with pytest.raises(StorageError, match="read-only") as caught:
        sorting.apply(plan)
    assert caught.value.where == str(shut)
    assert "--copy" in caught.value.fix
    assert not into.exists()
    sorting.check_room(source, into, "copy", plan.files)
    shut = tmp_path
    with pytest.raises(StorageError, match="may not be written"):
        sorting.check_ends(source, into)


def test_too_little_room(source, into, planned, answers, monkeypatch):
    plan = planned(source, into, answers)
    monkeypatch.setattr(places.shutil, "disk_usage", lambda _place: SimpleNamespace(free=1 << 20))
    with pytest.raises(StorageError, match="MB free"):
        sorting.check_room(plan.source, plan.destination, "copy", plan.files)
    for way in ("move", "hardlink", "symlink"):  # on one disk they take no room
        sorting.check_room(plan.source, plan.destination, way, plan.files)


def test_another_disk(source, into, planned, answers, monkeypatch):
    plan = planned(source, into, answers)
    monkeypatch.setattr(places, "_disk", lambda _file, _otherwise: -1)
    with pytest.raises(UsageError, match="hard links"):
        sorting.check_room(plan.source, plan.destination, "hardlink", plan.files)
    monkeypatch.setattr(places.shutil, "disk_usage", lambda _place: SimpleNamespace(free=0))
    with pytest.raises(StorageError, match="MB free"):
        sorting.check_room(plan.source, plan.destination, "move", plan.files)


def test_folders_that_are_links_or_files(tmp_path, source, into, planned, answers):
    into.mkdir()
    (into / "cat").touch()
    with pytest.raises(StorageError, match="links, or files") as caught:
        planned(source, into, answers)
    assert str(into / "cat") in caught.value.where
    (into / "cat").unlink()
    try:
        (into / "cat").symlink_to(tmp_path)
    except OSError:
        pytest.skip("links need rights here")
    with pytest.raises(StorageError, match="links, or files"):
        planned(source, into, answers)
