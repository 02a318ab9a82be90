from __future__ import annotations

import numpy as np
import pytest

from sortograph.dataset.corrections import Correction, applied, joined, read_corrections
from sortograph.dataset.reading import Columns
from sortograph.errors import DataError, UsageError
from sortograph.records import LOOK, DatasetIndex

CLASSES = ("cat", "dog")
HEAD = "sha256,path,predicted,label,time,model"


def sha(number):
    return f"{number:064x}"


def index(root, *, splits, twins=(), groups=None, labels=None):
    n = len(splits)
    return DatasetIndex(
        root=root,
        classes=CLASSES,
        paths=tuple(f"cat/{k}.jpg" for k in range(n)),
        labels=np.zeros(n, dtype=np.int64) if labels is None else np.array(labels),
        groups=groups or ("",) * n,
        splits=splits,
        sha256=tuple(sha(k) for k in range(n)),
        sizes=np.full((n, 2), 8, dtype=np.int32),
        twins=twins,
        looks=np.zeros(n, dtype=LOOK),
    )


def table(folder, *lines):
    folder.mkdir(exist_ok=True)
    (folder / "corrections.csv").write_text("\n".join([HEAD, *lines]) + "\n", "utf-8")
    return folder


def line(number, label, path=""):
    return f"{sha(number)},{path or f'photos/{number}.jpg'},cat,{label},2026-01-01T00:00:00Z,{'f' * 64}"


def fixed(number, label="dog"):
    return Correction(sha(number), f"photos/{number}.jpg", label)


def test_the_last_word_counts(tmp_path):
    place = table(tmp_path, line(1, "dog"), line(2, "dog"), line(1, "cat"))
    assert read_corrections(place, CLASSES) == ([fixed(1, "cat"), fixed(2, "dog")], ())


def test_names_that_a_table_guards_are_what_they_were(tmp_path):
    place = table(tmp_path, line(1, "'=cat"))
    assert read_corrections(place, ("=cat", "dog")) == ([fixed(1, "=cat")], ())


def test_what_fits_no_class_is_left_out_and_named(tmp_path):
    said = ((1, "dgo"), (2, "wolf"), (3, "dog"), (1, "cat"), (4, "dgo"), (5, "x"))
    place = table(tmp_path, *(line(*one) for one in said))
    known, left_out = read_corrections(place, CLASSES)
    assert known == [fixed(1, "cat"), fixed(3, "dog")]
    assert [(one.path, one.reason) for one in left_out] == [
        ("photos/2.jpg", "since its label 'wolf' is no class of these photos"),
        ("photos/4.jpg", "since its label 'dgo' is no class of these photos (did you mean 'dog'?)"),
        ("photos/5.jpg", "since its label 'x' is no class of these photos"),
    ]


def test_near_duplicates_may_hold_back_new_photos_alone(tmp_path):
    found = index(tmp_path, splits=("train", "test", "", ""))
    near = ("a", "a", "a", "")
    done = applied(found, [fixed(0), fixed(2), fixed(3)], near)
    assert done.index.paths == ("cat/0.jpg", "cat/1.jpg", "cat/3.jpg")
    assert done.index.labels.tolist() == [1, 0, 1]
    assert [one.path for one in done.left_out] == ["cat/2.jpg"]
    assert done.index.twins == ()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((line(1, "dgo"), line(2, "dgo")), r"no class: 'dgo' \(did you mean 'dog'\?\)"),
        (
            (line(1, "dog", "../x.jpg"), line(2, "dog", "/x.jpg")),
            r"lead out of the folder: line 2 .* line 3 ",
        ),
        ((line(1, "dog", "C:\\x.jpg"),), "lead out of the folder"),
        (("abc,photos/a.jpg,cat,dog,,",), r"no SHA-256: line 2 \('abc'\)"),
        (('"abc,photos',), "not a CSV file"),
    ],
)
def test_mistakes_are_told_together(tmp_path, lines, said):
    with pytest.raises(DataError, match=said):
        read_corrections(table(tmp_path, *lines), CLASSES)


def test_a_folder_that_is_none_of_ours(tmp_path):
    with pytest.raises(DataError, match=r"corrections\.csv"):
        read_corrections(tmp_path, CLASSES)
    (tmp_path / "corrections.csv").write_text("path,label\na.jpg,cat\n")
    with pytest.raises(DataError, match="no column 'sha256'"):
        read_corrections(tmp_path, CLASSES)


def test_train_and_validation_are_relabelled_and_test_is_not(tmp_path):
    done = applied(index(tmp_path, splits=("train", "validation", "test")), [fixed(0), fixed(1), fixed(2)])
    assert done.index.labels.tolist() == [1, 1, 0]
    assert (done.relabelled, done.added) == (2, 0)
    assert [one.path for one in done.left_out] == ["cat/2.jpg"]
    assert done.notes == (
        "corrections: 2 photos relabelled, 0 added to train",
        "1 correction is left out, since it or a near duplicate is in test, which is to stay as it is: "
        "cat/2.jpg",
    )


def test_all_copies_of_a_content_are_relabelled(tmp_path):
    found = index(tmp_path, splits=("train",) * 3)
    found = DatasetIndex(**{**fields(found), "sha256": (sha(5), sha(5), sha(6))})
    assert applied(found, [fixed(5)]).index.labels.tolist() == [1, 1, 0]


@pytest.mark.parametrize("bond", ["twins", "groups"])
def test_kin_of_test_photos_stay_as_they_are(tmp_path, bond):
    bonds = {bond: ("a", "a", "", "b", "b")}
    splits = ("train", "test", "train", "validation", "")
    done = applied(index(tmp_path, splits=splits, **bonds), [fixed(0), fixed(2), fixed(3), fixed(4)])
    assert done.index.paths == ("cat/0.jpg", "cat/1.jpg", "cat/2.jpg", "cat/3.jpg")
    assert done.index.labels.tolist() == [0, 0, 1, 1]
    assert [(one.path, "test" in one.reason) for one in done.left_out] == [
        ("cat/0.jpg", True),
        ("cat/4.jpg", False),
    ]
    assert (done.relabelled, done.added) == (2, 0)


def test_what_is_said_already_changes_nothing(tmp_path):
    done = applied(index(tmp_path, splits=("train", "test")), [fixed(0, "cat"), fixed(1, "cat")])
    assert (done.relabelled, done.added, done.left_out) == (0, 0, ())


def fields(found):
    return {name: getattr(found, name) for name in found.__slots__}


def columns(*numbers):
    n = len(numbers)
    return Columns([sha(k) for k in numbers], np.full((n, 2), 4, np.int32), np.zeros(n, LOOK), [""] * n)


def test_new_photos_come_behind_and_go_to_train(tmp_path):
    photos, folder = tmp_path / "photos", tmp_path / "fixes"
    whole = joined(
        index(photos, splits=("train", "test"), twins=("", "cat/1.jpg")), folder, [fixed(9)], columns(9)
    )
    assert whole.root == tmp_path.resolve()
    assert whole.paths == ("photos/cat/0.jpg", "photos/cat/1.jpg", "fixes/photos/9.jpg")
    assert whole.twins == ("", "photos/cat/1.jpg", "")
    done = applied(whole, [fixed(9)])
    assert done.added == 1
    assert done.index.paths == ("fixes/photos/9.jpg", "photos/cat/0.jpg", "photos/cat/1.jpg")
    assert done.index.splits == ("train", "train", "test")
    assert done.index.labels.tolist() == [1, 0, 0]


def test_corrections_inside_the_photos(tmp_path):
    whole = joined(index(tmp_path, splits=("train",)), tmp_path / "fixes", [fixed(9)], columns(9))
    assert whole.paths == ("cat/0.jpg", "fixes/photos/9.jpg")


def test_an_archive_takes_no_more_photos(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w"):
        pass
    with pytest.raises(UsageError, match="archive"):
        joined(index(tmp_path / "a.zip", splits=("train",)), tmp_path, [fixed(9)], columns(9))
    assert (
        joined(index(tmp_path / "a.zip", splits=("train",)), tmp_path, [], columns()).root
        == tmp_path / "a.zip"
    )
