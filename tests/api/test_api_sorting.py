"""sort, undo and review, from the model to the files."""

from __future__ import annotations

import os
import tarfile
import threading
from pathlib import Path

import pytest

import sortograph
from sortograph import FakeClassifier
from sortograph.errors import DataError, Interrupted, StorageError, UsageError

FAKE = FakeClassifier(["red", "green", "blue"])


@pytest.fixture
def into(tmp_path):
    return tmp_path / "sorted"


def test_plan_apply_review_undo(own_photos, into, tree, tmp_path):
    before = tree(own_photos)
    planned = sortograph.sort(FAKE, own_photos, into=into)
    assert (planned.applied, planned.journal) == (0, None)
    assert not into.exists()
    assert sum(planned.plan.counts.values()) == 30
    done = sortograph.apply_sort(planned.plan)
    assert done.applied == 30
    assert {path.parent.name for path in into.rglob("*.png")} == {*planned.plan.counts}
    photos = sorted(into.rglob("*.png"))[:6]
    moved = {photo: into / ("fog", "snow")[number % 2] / photo.name for number, photo in enumerate(photos)}
    for photo, place in moved.items():
        place.parent.mkdir(exist_ok=True)
        photo.rename(place)
    found = sortograph.review(into, csv=tmp_path / "table.csv")
    assert {(row.path, row.label, row.was) for row in found.corrections} == {
        (place.relative_to(into).as_posix(), place.parent.name, photo.parent.name)
        for photo, place in moved.items()
    }
    index = sortograph.index(tmp_path / "table.csv")  # as train reads it
    assert index.classes == ("fog", "snow")
    assert {tmp_path / path for path in index.paths} == set(moved.values())
    for photo, place in moved.items():
        place.rename(photo)
    for name in index.classes:
        (into / name).rmdir()
    assert sortograph.undo(done.journal).journal is None
    assert tree(own_photos) == before
    assert not into.exists()


def test_the_table_lies_where_train_finds_its_photos(own_photos, into, tmp_path):
    sortograph.sort(FAKE, own_photos, into=into, apply=True)
    (tmp_path / "aside").mkdir()
    with pytest.raises(UsageError, match="below the folder of its table"):
        sortograph.review(into, csv=tmp_path / "aside" / "t.csv")
    with pytest.raises(UsageError, match="writes a table"):
        sortograph.review(into, csv=into / "t.txt")
    mine = into / "mine.csv"
    mine.write_text("path,label\n1.png,red\n", encoding="utf-8")
    with pytest.raises(StorageError, match="such a file already"):
        sortograph.review(into, csv=mine)
    assert mine.read_text(encoding="utf-8") == "path,label\n1.png,red\n"
    sortograph.review(into, csv=into / "t.csv")
    with pytest.raises(StorageError, match="choose another name"):
        sortograph.review(into, csv=into / "t.csv")


def test_names_that_a_spreadsheet_would_run(own_photos, into):
    """They are guarded in the table, and read back as they are."""
    sortograph.sort(FAKE, own_photos, into=into, apply=True)
    *photos, other = sorted(into.rglob("*.png"))[:7]
    names = ["-1.png", "=1+1.png", "+.png", "@a.png", "1.png", "1.png"]
    folders = ["-fog", "=1+1", "-fog", "=1+1", "-fog", "=1+1"]
    for photo, folder, name in zip(photos, folders, names, strict=True):
        (into / folder).mkdir(exist_ok=True)
        photo.rename(into / folder / name)
    (into / "'=1.png").write_bytes(other.read_bytes())  # a person's own apostrophe
    sortograph.review(into, csv=into / "t.csv")
    text = (into / "t.csv").read_text(encoding="utf-8")
    assert not any(cell.startswith(("=", "-")) for line in text.splitlines() for cell in line.split(","))
    (into / "t.csv").write_text(f"{text}'=1.png,'-fog\n", encoding="utf-8")
    index = sortograph.index(into / "t.csv")
    found = {path: index.classes[label] for path, label in zip(index.paths, index.labels, strict=True)}
    wanted = {f"{folder}/{name}": folder for folder, name in zip(folders, names, strict=True)}
    assert found == {**wanted, "'=1.png": "-fog"}


def test_arguments(own_photos, into):
    with pytest.raises(UsageError, match="did you mean 'move'"):
        sortograph.sort(FAKE, own_photos, into=into, way="mvoe")
    with pytest.raises(UsageError, match="in the template"):
        sortograph.sort(FAKE, own_photos, into=into, template="{x}")
    with pytest.raises(UsageError, match="max_error"):
        sortograph.sort(FAKE, own_photos, into=into, max_error=0.02)


def test_photos_that_cannot_be_read_stay(own_photos, into):
    (own_photos / "broken.jpg").write_bytes(b"no photo")
    (own_photos / "broken.xmp").write_bytes(b"settings")
    done = sortograph.sort(FAKE, own_photos, into=into, way="move", apply=True)
    assert [row.path for row in done.plan.unreadable] == ["broken.jpg"]
    assert sorted(path.name for path in own_photos.rglob("*") if path.is_file()) == [
        "broken.jpg",
        "broken.xmp",
    ]
    with pytest.raises(DataError, match="the photo could not be read"):
        sortograph.sort(FAKE, own_photos, into=into)


def test_links_and_what_is_no_file_stay(own_photos, into, tree, tmp_path):
    """D3: loops, links out of the tree, links to nothing, pipes."""
    try:
        (own_photos / "loop").symlink_to(own_photos)
        (own_photos / "nothing.jpg").symlink_to(tmp_path / "nothing")
        (own_photos / "link.png").symlink_to(own_photos / "red" / "0.png")
    except OSError:
        pytest.skip("links need rights here")
    (tmp_path / "outside").mkdir()
    (own_photos / "out").symlink_to(tmp_path / "outside")
    if hasattr(os, "mkfifo"):
        os.mkfifo(own_photos / "pipe.jpg")
    said = []
    done = sortograph.sort(FAKE, own_photos, into=into, way="move", apply=True, progress=said.append)
    assert done.applied == len(done.plan.photos)
    assert {"loop", "nothing.jpg", "link.png", "out"} <= {path.name for path in own_photos.iterdir()}
    assert any("2 links" in getattr(event, "text", "") for event in said)
    assert {row.path for row in done.plan.unreadable} <= {"pipe.jpg"}


def test_a_folder_of_links_alone(tmp_path, into, own_photos):
    (tmp_path / "links").mkdir()
    try:
        (tmp_path / "links" / "1.png").symlink_to(next(own_photos.rglob("*.png")))
    except OSError:
        pytest.skip("links need rights here")
    with pytest.raises(DataError, match="no photos"):
        sortograph.sort(FAKE, tmp_path / "links", into=into)


def test_every_file_of_the_bad_images(tmp_path, into, tree):
    shared = Path(os.environ.get("SORTOGRAPH_SHARED", Path(__file__).parents[2] / "../shared/data"))
    archive = shared / "bad-images.tar.gz"
    if not archive.is_file():
        pytest.skip("needs the shared bad images")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path / "bad", filter="data")
    source = tmp_path / "bad"
    for large in [path for path in source.rglob("*") if path.is_file() and path.stat().st_size > 12_000]:
        large.unlink()  # many pixels take long, and are looked at elsewhere
    before = tree(source)
    done = sortograph.sort(FAKE, source, into=into, way="move", apply=True)
    assert done.left == ()
    assert done.applied == len(done.plan.photos) > 100
    assert len(done.plan.unreadable) > 100
    there = tree(source)
    assert all(there[row.path] == before[row.path] for row in done.plan.unreadable)
    assert all(row.path not in there for row in done.plan.files)
    assert sortograph.undo(done.journal).left == ()
    assert {path: facts for path, facts in tree(source).items() if facts[0]} == {
        path: facts for path, facts in before.items() if facts[0]
    }


def test_what_arrives_is_sorted(own_photos, into, paint, tmp_path, monkeypatch):
    pytest.importorskip("watchdog")
    from sortograph import sorting
    from sortograph.sorting import watch

    monkeypatch.setattr(
        sorting, "arriving", lambda source, happened: watch.arriving(source, happened, quiet=0.05)
    )
    more = paint(tmp_path / "more", count=1, first=50)
    found = sortograph.watch_sort(FAKE, own_photos, into=into, way="move")
    assert next(found).applied == 30
    photo = next(more.rglob("*.png"))
    threading.Timer(0.1, photo.rename, [own_photos / "late.png"]).start()
    done = next(found)
    assert [file.path for file in done.plan.files] == ["late.png"]
    assert done.applied == 1
    found.close()
    assert len(list((into / ".sortograph").glob("*.jsonl"))) == 1
    assert len(sortograph.undo(done.journal).undone) == 31
    assert (own_photos / "late.png").exists()


def test_ctrl_c_between_two_acts(own_photos, into, stop, tree):
    before = tree(own_photos)
    plan = sortograph.sort(FAKE, own_photos, into=into, way="move").plan
    with pytest.raises(Interrupted) as caught:
        sortograph.apply_sort(plan, progress=stop(lambda event: True))
    assert "--resume" in caught.value.fix
    journal = next((into / ".sortograph").glob("*.jsonl"))
    assert sortograph.resume_sort(journal).left == ()
    assert len(list(into.rglob("*.png"))) == 30
    sortograph.undo(journal)
    assert set(tree(own_photos)) == set(before)
