from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from sortograph.dataset import scan
from sortograph.dataset.layouts import class_of
from sortograph.errors import DataError

Make = Callable[..., None]
posix = pytest.mark.skipif(os.name != "posix", reason="needs links and byte names")


def refusal(root: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        scan(root)
    assert caught.value.fix
    return caught.value


def test_class_folders_with_nested_photos(tmp_path: Path, photos: Make) -> None:
    photos("cats", 3)
    photos("cats/old/older", 2)
    photos("dogs", 4)
    index = scan(tmp_path)
    assert index.classes == ("cats", "dogs")
    assert index.counts() == {"all": {"cats": 5, "dogs": 4}}
    assert index.paths[:5] == (
        "cats/1.png", "cats/2.png", "cats/3.png", "cats/old/older/1.png", "cats/old/older/2.png",
    )  # fmt: skip
    assert index.root == tmp_path
    assert set(index.splits) == {""}
    assert index.notes == ("counted for their class: 2 photos in folders inside class folders: 'cats'",)


def test_photos_of_class_folders_alone_need_no_note(tmp_path: Path, photos: Make) -> None:
    for folder in ("train/cats", "train/dogs", "test/cats", "test/dogs"):
        photos(folder, 3)
    assert scan(tmp_path).notes == ()


def test_photos_beside_folders_without_any(tmp_path: Path, photo: Make) -> None:
    for name in ("rain1", "rain2", "rain3", "sun1", "sun2", "sun3"):
        photo(f"{name}.png")
    (tmp_path / "notes").mkdir()
    error = refusal(tmp_path)
    assert "photos lie beside the folders 'notes'" in error.what


def test_loose_photos_beside_class_folders_are_told(tmp_path: Path, photo: Make, photos: Make) -> None:
    photos("cats", 3)
    photos("dogs", 3)
    photo("stray1.png")
    photo("stray2.png")
    index = scan(tmp_path)
    assert len(index) == 6
    assert index.ignored == 2
    assert any("2 loose" in note for note in index.notes)


def test_hidden_and_foreign_files_are_counted(tmp_path: Path, photos: Make) -> None:
    for folder in ("cats", "dogs", "__MACOSX/cats", "@eaDir", ".ipynb_checkpoints"):
        photos(folder, 3)
    for name in ("cats/._1.jpg", "cats/Thumbs.db", "cats/desktop.ini", "readme.txt", "cats/notes.pdf"):
        (tmp_path / name).write_bytes(b"x")
    index = scan(tmp_path)
    assert len(index) == 6
    assert index.rejected == ()
    assert index.ignored == 8


def test_class_folder_with_only_sub_folders(tmp_path: Path, photos: Make) -> None:
    photos("cats", 3)
    photos("dogs/small", 3)
    photos("birds/big", 3)
    error = refusal(tmp_path)
    assert "'birds', 'dogs'" in error.what
    assert "'cats'" not in error.what


def test_one_folder_too_high(tmp_path: Path, photos: Make) -> None:
    photos("data/cats", 3)
    photos("data/dogs", 3)
    assert str(tmp_path / "data") in refusal(tmp_path).fix


@pytest.mark.parametrize("names", [("train", "val", "test"), ("TRAINING", "Dev", "testing"),
                                   ("train_set", "valid_set", "Test_Set")])  # fmt: skip
def test_split_folders(tmp_path: Path, photos: Make, names: tuple[str, ...]) -> None:
    for name in names:
        photos(f"{name}/cats", 3)
        photos(f"{name}/dogs", 2)
    index = scan(tmp_path)
    assert index.counts() == {split: {"cats": 3, "dogs": 2} for split in ("train", "validation", "test")}


def test_class_absent_in_one_split_is_noted(tmp_path: Path, photos: Make) -> None:
    photos("train/cats", 3)
    photos("train/dogs", 3)
    photos("test/dogs", 3)
    (tmp_path / "test/cats").mkdir()
    index = scan(tmp_path)
    assert index.counts()["test"] == {"cats": 0, "dogs": 3}
    assert "no photos in test of: 'cats'" in index.notes


def test_unknown_split_names_are_refused(tmp_path: Path, photos: Make) -> None:
    for folder in ("fit", "judge"):
        photos(f"{folder}/cats", 3)
        photos(f"{folder}/dogs", 3)
    error = refusal(tmp_path)
    assert "'fit', 'judge'" in error.what
    assert "train" in error.fix


def test_split_folders_beside_others_are_refused(tmp_path: Path, photos: Make) -> None:
    photos("train/cats", 3)
    photos("test/cats", 3)
    photos("extra", 3)
    assert "'extra'" in refusal(tmp_path).what


def test_two_folders_for_one_split_are_refused(tmp_path: Path, photos: Make) -> None:
    for folder in ("val", "valid", "train"):
        photos(f"{folder}/cats", 3)
    error = refusal(tmp_path)
    assert "'val', 'valid'" in error.what
    assert "'train'" not in error.what


def test_split_folders_without_classes_are_refused(tmp_path: Path, photos: Make) -> None:
    photos("train", 3)
    photos("test/cats", 3)
    assert "'train'" in refusal(tmp_path).what


def test_photos_of_trains_are_a_class(tmp_path: Path, photos: Make) -> None:
    photos("train", 3)
    photos("car", 3)
    photos("bus", 3)
    assert scan(tmp_path).classes == ("bus", "car", "train")


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("cloudy12.jpg", "cloudy"), ("cloudy (3).jpg", "cloudy"), ("cloudy_12.jpg", "cloudy"),
        ("cloudy.jpg", "cloudy"), ("cloudy-1-2 (4)_5.jpeg", "cloudy"), ("a b 3.png", "a b"),
        ("(3).jpg", ""), ("12.jpg", ""), ("1" * 200 + "x.jpg", "1" * 200 + "x"),
    ],
)  # fmt: skip
def test_class_at_the_start_of_a_name(name: str, label: str) -> None:
    assert class_of(name) == label


def test_flat_folder(tmp_path: Path, photo: Make) -> None:
    for name in ("rain1", "rain 2", "rain_3", "sun1", "sun (2)", "sun3"):
        photo(f"{name}.png")
    index = scan(tmp_path)
    assert index.counts() == {"all": {"rain": 3, "sun": 3}}
    assert "'rain', 'sun'" in index.notes[0]


@pytest.mark.parametrize(
    "names", [["IMG_1", "IMG_2", "IMG_3"], ["alice", "bob", "carol", "dave"], ["1", "2", "3"]]
)
def test_flat_folder_without_classes_explains_the_layouts(
    tmp_path: Path, photo: Make, names: list[str]
) -> None:
    for name in names:
        photo(f"{name}.png")
    error = refusal(tmp_path)
    assert "path,label" in error.expected
    assert "train/cats" in error.expected


def test_flat_folder_with_a_table_points_to_it(tmp_path: Path, photos: Make) -> None:
    photos(".", 4)
    (tmp_path / "labels.csv").write_text("path,label\n")
    assert "labels.csv" in refusal(tmp_path).fix


def test_nothing_there(tmp_path: Path) -> None:
    assert "no such" in refusal(tmp_path / "nowhere").what
    assert "no photos" in refusal(tmp_path).what
    (tmp_path / "cats").mkdir()
    (tmp_path / "dogs").mkdir()
    assert "no photos" in refusal(tmp_path).what
    (tmp_path / "a.txt").write_bytes(b"PK")
    assert "neither a folder nor a CSV file" in refusal(tmp_path / "a.txt").what


def test_empty_classes_are_named_together(tmp_path: Path, photos: Make) -> None:
    photos("cats", 3)
    for name in ("dogs", "birds/deeper"):
        (tmp_path / name).mkdir(parents=True)
    assert "'birds', 'dogs'" in refusal(tmp_path).what


@posix
def test_linked_class_folders_are_named_as_the_reason(tmp_path: Path, photos: Make) -> None:
    photos("data/cats", 3)
    photos("data/dogs", 3)
    (tmp_path / "set").mkdir()
    for name in ("cats", "dogs"):
        (tmp_path / "set" / name).symlink_to(tmp_path / "data" / name, target_is_directory=True)
    error = refusal(tmp_path / "set")
    assert error.what.startswith("no photos but in 2 linked folders")
    assert "in the place of the links" in error.fix
    assert "--follow-links" in error.fix
    photos("set/birds", 3)
    assert refusal(tmp_path / "set").what.endswith("nothing to tell apart; not followed: 2 linked folders")
    (tmp_path / "deep/cats").mkdir(parents=True)
    (tmp_path / "deep/cats/more").symlink_to(tmp_path / "data/cats", target_is_directory=True)
    assert refusal(tmp_path / "deep").what.startswith("no photos but in 1 linked folder,")


def test_what_is_not_for_training_may_be_small(tmp_path: Path, photo: Make, photos: Make) -> None:
    photos("one/cats", 1)
    (tmp_path / "one/dogs").mkdir()
    index = scan(tmp_path / "one", for_training=False)
    assert (index.classes, index.labels.tolist()) == (("cats",), [0])
    assert index.notes == ("no photos of: 'dogs'",)
    photos("two/cats", 2)
    photos("two/dogs", 1)
    assert scan(tmp_path / "two", for_training=False).counts() == {"all": {"cats": 2, "dogs": 1}}
    for name in ("flat/cats_1.png", "flat/cats_2.png", "flat/dogs_1.png", "single/cats_1.png"):
        photo(name)
    assert scan(tmp_path / "flat", for_training=False).classes == ("cats", "dogs")
    assert scan(tmp_path / "single", for_training=False).classes == ("cats",)
    for name in ("one", "two", "flat", "single"):
        refusal(tmp_path / name)


def test_what_is_not_for_training_still_needs_one_photo(tmp_path: Path, photo: Make) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats/1.jpg").write_bytes(b"no photo")
    with pytest.raises(DataError, match=r"no readable photos: cats/1\.jpg \(not a photo"):
        scan(tmp_path, for_training=False)
    photo("cats/2.png")
    index = scan(tmp_path, for_training=False)
    assert (len(index), [row.path for row in index.rejected]) == (1, ["cats/1.jpg"])


def test_single_class(tmp_path: Path, photos: Make) -> None:
    photos("cats", 5)
    assert "single class, 'cats'" in refusal(tmp_path).what


def test_case_clash_within_and_across_splits(tmp_path: Path, photos: Make) -> None:
    photos("train/Cats", 3)
    photos("train/dogs", 3)
    photos("test/cats", 3)
    photos("test/dogs", 3)
    assert "'test/cats' and 'train/Cats'" in refusal(tmp_path).what


def test_case_clash_in_names_of_one_folder_shows_a_photo_of_each(tmp_path: Path, photo: Make) -> None:
    for name in ("Rain1", "rain2", "rain3", "sun1", "sun2", "sun3", "sun4", "sun5", "sun6"):
        photo(f"{name}.png")
    assert "'Rain1.png' and 'rain2.png'" in refusal(tmp_path).what


@posix
def test_unicode_twins_are_refused_and_split_twins_merged(tmp_path: Path, photos: Make) -> None:
    nfc, nfd = (unicodedata.normalize(form, "고양이") for form in ("NFC", "NFD"))
    photos(f"data/train/{nfc}", 3)
    photos("data/train/개", 3)
    photos(f"data/test/{nfd}", 3)
    photos("data/test/개", 3)
    if not (tmp_path / "data/test" / nfd).exists():
        pytest.skip("this file system keeps one spelling")
    assert scan(tmp_path / "data").classes == ("개", nfc)
    photos(f"both/{nfc}", 3)
    photos(f"both/{nfd}", 3)
    if len(os.listdir(tmp_path / "both")) == 1:  # noqa: PTH208
        pytest.skip("this file system keeps one spelling")
    what = refusal(tmp_path / "both").what
    assert "NFC" in what
    assert ascii(nfc) in what
    assert ascii(nfd) in what


@posix
def test_names_that_are_no_utf8(tmp_path: Path, photo: Make, photos: Make) -> None:
    photos("cats", 3)
    photos("dogs", 3)
    try:
        photo("cats/caf\udce9.png")
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    index = scan(tmp_path)
    assert "cats/caf\udce9.png" in index.paths
    assert len(index.fingerprint) == 64
    photos("bi\udcffrds", 3)
    error = refusal(tmp_path)
    assert "UTF-8" in error.what
    str(error).encode()


@posix
def test_awkward_class_names(tmp_path: Path, photos: Make) -> None:
    names = ("-rf", "=1+1", "<script>", "가나다", "😀", " ", "a\nb", "x" * 255, "null", "%s", "'")
    for name in names:
        photos(name, 3)
    index = scan(tmp_path)
    assert set(index.classes) == set(names)
    assert len(index) == 3 * len(names)


@posix
def test_links(tmp_path: Path, photo: Make, photos: Make) -> None:
    root = tmp_path / "data"
    photos("data/cats", 3)
    photos("data/dogs", 3)
    outside = photo("outside/secret.png")
    (root / "cats/loop").symlink_to(root, target_is_directory=True)
    (root / "linked").symlink_to(root / "cats", target_is_directory=True)
    (root / "cats/out.png").symlink_to(outside)
    (root / "cats/nothing.png").symlink_to(root / "nowhere.png")
    (root / "cats/round.png").symlink_to(root / "cats/round.png")
    (root / "dogs/fine.png").symlink_to(root / "dogs/1.png")
    index = scan(root)
    assert index.classes == ("cats", "dogs")
    assert "dogs/fine.png" in index.paths
    reasons = {row.path: row.reason for row in index.rejected}
    assert set(reasons) == {"cats/out.png", "cats/nothing.png", "cats/round.png"}
    assert "out of the folder" in reasons["cats/out.png"]
    assert "nothing" in reasons["cats/nothing.png"]
    assert any("2 linked folder" in note for note in index.notes)


@posix
def test_root_may_be_a_link(tmp_path: Path, photos: Make) -> None:
    photos("data/cats", 3)
    photos("data/dogs", 3)
    (tmp_path / "link").symlink_to(tmp_path / "data", target_is_directory=True)
    (tmp_path / "data/dogs/again.png").symlink_to("1.png")
    assert len(scan(tmp_path / "link")) == 7


@posix
def test_pipes_do_not_block(tmp_path: Path, photos: Make) -> None:
    photos("cats", 3)
    photos("dogs", 3)
    os.mkfifo(tmp_path / "cats/pipe.jpg")
    (rejected,) = scan(tmp_path).rejected
    assert rejected.path == "cats/pipe.jpg"
    assert "regular" in rejected.reason
