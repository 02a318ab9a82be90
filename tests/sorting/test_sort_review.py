from __future__ import annotations

import pytest

from sortograph import sorting
from sortograph.errors import DataError, StorageError
from sortograph.records import Correction


@pytest.fixture
def into(tmp_path):
    return tmp_path / "sorted"


@pytest.fixture
def done(source, into, planned, answers):
    return sorting.apply(planned(source, into, answers, "copy"))


def test_nothing_was_moved(done, into):
    found = sorting.review(into)
    assert (found.corrections, found.sorted_, found.set_aside, found.gone) == ((), 4, (), 0)


def test_what_was_moved(done, into):
    (into / "cat" / "1.jpg").rename(into / "새" / "renamed.jpg")
    (into / "_unsure" / "4.jpg").rename(into / "cat" / "1.jpg")  # to a name that was another's
    (into / "fog").mkdir()
    (into / "새" / "새.jpg").rename(into / "fog" / "새.jpg")
    found = sorting.review(into)
    assert set(found.corrections) == {
        Correction("새/renamed.jpg", "새", "cat"),
        Correction("cat/1.jpg", "cat", ""),
        Correction("fog/새.jpg", "fog", "새"),
    }
    assert found.gone == 0
    assert {"path": "cat/1.jpg", "label": "cat", "was": None} in found.to_json()["corrections"]


def test_what_is_no_correction(done, into):
    (into / "cat" / "1.jpg").rename(into / "cat" / "other name.jpg")
    (into / "cat" / "1-2.jpg").unlink()
    (into / "새" / "새.jpg").rename(into / "_unsure" / "새.jpg")
    (into / "cat" / "new.jpg").write_bytes(b"never sorted")
    found = sorting.review(into)
    assert found.corrections == ()
    assert found.set_aside == ("_unsure/새.jpg",)
    assert found.gone == 1


def test_a_copy_beside_the_original_is_none(done, into):
    (into / "새" / "copy.jpg").write_bytes((into / "cat" / "1.jpg").read_bytes())
    assert sorting.review(into).corrections == ()


def test_two_photos_that_changed_places(done, into):
    one, two = into / "cat" / "1.jpg", into / "새" / "새.jpg"
    one.rename(into / "x")
    two.rename(one)
    (into / "x").rename(two)
    found = {row.path: (row.was, row.label) for row in sorting.review(into).corrections}
    assert found == {"새/새.jpg": ("cat", "새"), "cat/1.jpg": ("새", "cat")}


def test_labels_that_are_no_folder_names(tmp_path, into, fill):
    photos = fill(tmp_path / "photos", {"1.jpg": b"a", "2.jpg": b"b"})
    from sortograph.records import Prediction

    wish = sorting.Wish(
        photos, into, "copy", sorting.read_template("x/{label}/{name}"), sorting.class_folders(["CON", "a/b"])
    )
    answers = [Prediction(str(photos / "1.jpg"), "CON", 1.0), Prediction(str(photos / "2.jpg"), "a/b", 1.0)]
    sorting.apply(sorting.make_plan(wish, answers))
    (into / "x" / "_CON" / "1.jpg").rename(into / "x" / "a_b" / "1.jpg")
    assert sorting.review(into).corrections == (Correction("x/a_b/1.jpg", "a/b", "CON"),)


def test_a_template_without_a_folder_of_the_class(source, into, planned, answers):
    sorting.apply(planned(source, into, answers, "copy", "{date:%Y}/{label}-{name}"))
    found = sorting.review(into)
    assert found.corrections == ()
    assert "has no folder {label}" in found.notes[0]


@pytest.mark.parametrize(
    ("template", "before"),
    [("{folder}/{label}/{name}", "cat"), ("{date:%Y/%m}/{folder}/{label}/{name}", "2001/09/cat")],
)
def test_a_folder_before_that_of_the_class_may_have_its_name(tmp_path, into, fill, planned, template, before):
    photos = fill(tmp_path / "photos", {"cat/1.jpg": b"a", "2.jpg": b"b"})
    answers = {"cat/1.jpg": "cat", "2.jpg": "cat"}
    sorting.apply(planned(photos, into, answers, "copy", template))
    (into / before / "dog").mkdir()
    (into / before / "cat" / "1.jpg").rename(into / before / "dog" / "1.jpg")
    (into / before).with_name("새").mkdir()
    (into / before / "2.jpg").rename((into / before).with_name("새") / "2.jpg")
    assert set(sorting.review(into).corrections) == {
        Correction(f"{before}/dog/1.jpg", "dog", "cat"),
        Correction(f"{before[:-3]}새/2.jpg", "새", "cat"),
    }


def test_links_are_read_through(source, into, planned, answers):
    try:
        sorting.apply(planned(source, into, answers, "symlink"))
    except (OSError, StorageError):
        pytest.skip("links need rights here")
    (into / "cat" / "1.jpg").rename(into / "새" / "1.jpg")
    assert sorting.review(into).corrections == (Correction("새/1.jpg", "새", "cat"),)


def test_after_an_undo_there_is_nothing_to_review(done, into, tmp_path):
    (into / "mine").mkdir()
    sorting.undo(done.journal)
    with pytest.raises(DataError, match="no photos were sorted"):
        sorting.review(into)
    with pytest.raises(DataError, match="no such folder"):
        sorting.review(tmp_path / "gone")
