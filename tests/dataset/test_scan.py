from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sortograph.dataset import scan
from sortograph.errors import DataError, UsageError
from sortograph.records import Step

Make = Callable[..., None]
SHARED = Path(os.environ.get("SORTOGRAPH_SHARED", Path(__file__).parents[3] / "shared/data"))


@pytest.fixture
def pets(tmp_path: Path, photos: Make) -> Path:
    for name in ("cats", "dogs", "birds"):
        photos(name, 12)
    return tmp_path


def test_columns_of_the_index(pets: Path) -> None:
    index = scan(pets)
    assert index.classes == ("birds", "cats", "dogs")
    assert index.paths[:3] == ("birds/1.png", "birds/2.png", "birds/3.png")
    assert index.paths[9] == "birds/10.png"
    assert index.labels.tolist() == [0] * 12 + [1] * 12 + [2] * 12
    assert index.sizes.dtype == np.int32
    assert (index.sizes == (6, 4)).all()
    assert index.sha256[0] == hashlib.sha256((pets / "birds/1.png").read_bytes()).hexdigest()
    assert index.groups == ("",) * 36


def test_same_folder_gives_the_same_index(pets: Path) -> None:
    assert scan(pets).fingerprint == scan(pets).fingerprint


def test_unreadable_photos_are_rejected_with_their_reason(pets: Path) -> None:
    (pets / "cats/0.jpg").write_bytes(b"")
    (pets / "dogs/0.jpg").write_bytes(b"<html>")
    index = scan(pets)
    assert [(row.path, row.reason.split()[0]) for row in index.rejected] == [
        ("cats/0.jpg", "empty"), ("dogs/0.jpg", "not"),
    ]  # fmt: skip
    assert len(index) == 36


def test_rejected_photos_are_told_in_natural_order(pets: Path) -> None:
    for name in ("dogs/10.jpg", "cats/100.jpg", "cats/99.jpg", "cats/B9.jpg", "cats/b10.jpg"):
        (pets / name).write_bytes(b"")
    assert [row.path for row in scan(pets).rejected] == [
        "cats/99.jpg", "cats/100.jpg", "cats/B9.jpg", "cats/b10.jpg", "dogs/10.jpg",
    ]  # fmt: skip


def test_progress_is_told_sparingly_and_to_the_end(pets: Path) -> None:
    told: list[Step] = []
    scan(pets, progress=told.append)
    assert told[-1] == Step("reading photos", 36, 36)
    assert len(told) < 10


def test_given_class_order(pets: Path) -> None:
    index = scan(pets, classes=["dogs", "birds", "cats"])
    assert index.classes == ("dogs", "birds", "cats")
    assert index.labels[0] == 1
    assert index.paths == scan(pets).paths


def test_given_classes_may_be_spelt_as_macos_does(tmp_path: Path, photos: Make) -> None:
    for name in ("고양이", "개"):
        photos(name, 3)
    wanted = [unicodedata.normalize("NFD", name) for name in ("고양이", "개")]
    assert scan(tmp_path, classes=wanted).classes == ("고양이", "개")


def test_wrong_class_order_names_every_mistake(pets: Path) -> None:
    with pytest.raises(UsageError) as caught:
        scan(pets, classes=["dog", "cats", "cats", "fish"])
    for part in ("unknown 'dog' (did you mean 'dogs'?)", "unknown 'fish'", "missing 'birds', 'dogs'",
                 "'cats' given 2 times"):  # fmt: skip
        assert part in caught.value.what


def test_small_classes_are_named_together_with_what_was_unreadable(pets: Path, photos: Make) -> None:
    photos("fish", 2)
    photos("mice", 1)
    photos("frogs", 3)
    for k in range(4):
        (pets / f"mice/bad{k}.jpg").write_bytes(b"no photo")
    with pytest.raises(DataError) as caught:
        scan(pets)
    assert "'fish' (2), 'mice' (1, 4 more unreadable: not a photo" in caught.value.what
    assert "frogs" not in caught.value.what


def test_class_of_unreadable_photos_only(pets: Path) -> None:
    (pets / "odd").mkdir()
    for k in range(3):
        (pets / f"odd/{k}.jpg").write_bytes(b"no photo" if k else b"")
    with pytest.raises(DataError, match=r"'odd' \(0, 3 more unreadable: mostly not a photo"):
        scan(pets)


def test_small_classes_count_over_all_splits(tmp_path: Path, photos: Make) -> None:
    for split, count in (("train", 1), ("val", 1), ("test", 1)):
        photos(f"{split}/cats", count)
        photos(f"{split}/dogs", count)
    assert len(scan(tmp_path)) == 6


def test_nothing_is_written_and_read_only_input_is_fine(pets: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in pets.rglob("*")}
    scan(pets)
    assert before == {path: path.stat().st_mtime_ns for path in pets.rglob("*")}


@pytest.mark.skipif(not (SHARED / "weather").is_dir(), reason="the shared photo sets are not here")
@pytest.mark.parametrize(
    ("name", "classes", "splits"),
    [
        ("weather", 4, {"all": 1121}),
        ("cats-dogs", 2, {"train": 1000, "test": 600}),
        ("sports100", 100, {"train": 1600, "validation": 400, "test": 499}),
        ("digits-photos", 10, {"all": 818}),
        ("food-scenes", 3, {"train": 564, "test": 141}),
    ],
)
def test_real_sets(name: str, classes: int, splits: dict[str, int]) -> None:
    index = scan(SHARED / name)
    assert len(index.classes) == classes
    assert {split: sum(counts.values()) for split, counts in index.counts().items()} == splits
    assert index.rejected == ()
