from __future__ import annotations

import json

import pytest

from sortograph.dataset.names import check_class_names, shown, split_of
from sortograph.errors import DataError, listed


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
