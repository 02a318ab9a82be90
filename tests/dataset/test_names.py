from __future__ import annotations

import json
import random

import pytest

from sortograph.dataset import natural_key
from sortograph.dataset.names import check_class_names, is_system, listed, shown, split_of
from sortograph.errors import DataError


def test_natural_order() -> None:
    names = ["img1", "img2", "img10", "Img11", "img20a3", "img20a12", "x/2", "x/10", "x 1", "1" * 5000]
    expected = sorted(names, key=natural_key)
    random.Random(0).shuffle(names)
    assert sorted(names, key=natural_key) == expected
    assert [n for n in expected if n[0] in "iI"] == [
        "img1", "img2", "img10", "Img11", "img20a3", "img20a12",
    ]  # fmt: skip
    assert expected.index("x/2") < expected.index("x/10") < expected.index("x 1")


def test_natural_order_of_odd_names() -> None:
    names = ["", "²", "٣", "ｱ", "\udcff", "a\udcff1", "007", "7", "07"]
    assert len(set(map(natural_key, names))) == len(names)
    expected = sorted(names, key=natural_key)
    assert all(sorted(names[k:] + names[:k], key=natural_key) == expected for k in range(len(names)))


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("TRAIN", "train"), ("Training", "train"), ("train_set", "train"), ("training-set", "train"),
        ("val", "validation"), ("VALID", "validation"), ("dev_set", "validation"),
        ("valid set", "validation"),
        ("Test", "test"), ("testing", "test"), ("test_set", "test"),
        ("tests", ""), ("trains", ""), ("", ""), ("set", ""),
    ],
)  # fmt: skip
def test_split_names(name: str, split: str) -> None:
    assert split_of(name) == split


def test_system_names() -> None:
    left = (".DS_Store", "._a.jpg", "Thumbs.db", "DESKTOP.INI", "__MACOSX", "@eaDir", ".ipynb_checkpoints")
    assert all(map(is_system, left))
    assert not any(map(is_system, ("a.jpg", "_a.jpg", "thumbs", "-rf", "~")))


def test_shown_names_can_be_printed_anywhere() -> None:
    for name in ("a\nb", "a\udcff", "\ud83d", "\x1b[31m", "\u202etxt", "가.jpg"):
        text = shown(name)
        text.encode()
        json.dumps(text, ensure_ascii=False).encode()
        assert text.isprintable()
    assert shown("가 é.jpg") == "가 é.jpg"


def test_listed_counts_the_rest() -> None:
    assert listed(str(i) for i in range(12)).endswith("9 and 2 more")
    assert listed(["a"]) == "a"


def test_clashes_name_both_spellings() -> None:
    with pytest.raises(DataError, match=r"'Cats' and 'cats'.*'DOG' and 'Dog'"):
        check_class_names(["cats", "Dog", "Cats", "DOG", "bird"], "x")
    check_class_names(["cats", "cats", "dogs"], "x")
