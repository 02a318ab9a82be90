from __future__ import annotations

import random
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from sortograph.images.names import is_system, natural_key


def test_natural_order() -> None:
    names = ["img1", "img2", "img10", "Img11", "img20a3", "img20a12", "x/2", "x/10", "x 1", "1" * 5000]
    expected = sorted(names, key=natural_key)
    random.Random(0).shuffle(names)
    assert sorted(names, key=natural_key) == expected
    assert [n for n in expected if n[0] in "iI"] == [
        "img1", "img2", "img10", "Img11", "img20a3", "img20a12",
    ]  # fmt: skip
    assert expected.index("x/2") < expected.index("x/10") < expected.index("x 1")


def test_a_folder_comes_before_all_names_that_start_like_it() -> None:
    names = ["a", "a/10", "a/b/1", "a1", "a1/1", "a 1", "a.png", "b"]
    assert sorted(names, key=natural_key) == names


def test_a_number_of_as_many_digits_as_a_slash_has_in_ascii() -> None:
    names = ["x" + "1" * length for length in (46, 47, 48)]
    assert sorted(names, key=natural_key) == names


def test_natural_order_of_odd_names() -> None:
    names = ["", "²", "٣", "ｱ", "\udcff", "a\udcff1", "007", "7", "07"]
    assert len(set(map(natural_key, names))) == len(names)
    expected = sorted(names, key=natural_key)
    assert all(sorted(names[k:] + names[:k], key=natural_key) == expected for k in range(len(names)))


@given(st.lists(st.text("aB01 .é사", max_size=6), max_size=6))
def test_the_order_does_not_hang_on_how_the_system_lists(names):
    backwards = names[::-1]
    assert sorted(backwards, key=natural_key) == sorted(names, key=natural_key)


@given(st.integers(0, 10**30), st.integers(0, 10**30))
def test_numbers_are_ordered_by_value(one, two):
    assert (natural_key(f"a{one}b") < natural_key(f"a{two}b")) == (one < two)


def test_hangul_of_both_spellings_stands_side_by_side():
    one, two = unicodedata.normalize("NFD", "사진1"), unicodedata.normalize("NFC", "사진2")
    assert sorted([two, "산", one], key=natural_key)[:2] == [one, two]


def test_system_names() -> None:
    left = (".DS_Store", "._a.jpg", "Thumbs.db", "DESKTOP.INI", "__MACOSX", "@eaDir", ".ipynb_checkpoints")
    assert all(map(is_system, left))
    assert not any(map(is_system, ("a.jpg", "_a.jpg", "thumbs", "-rf", "~")))
