"""What the index tells of photos in several places, and of how names are spelled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest

from sortograph.records import DatasetIndex


def make_index(splits: str, contents: str) -> DatasetIndex:
    """A photo for each letter: its split by the first of t, v, e (test) or -, its content by the second."""
    names = {"t": "train", "v": "validation", "e": "test", "-": ""}
    n = len(splits)
    return DatasetIndex(
        root=Path("photos"),
        classes=("a",),
        paths=tuple(f"{k}é.jpg" for k in range(n)),
        labels=np.zeros(n, dtype=np.int64),
        groups=("",) * n,
        splits=tuple(names[letter] for letter in splits),
        sha256=tuple(contents),
        sizes=np.ones((n, 2), dtype=np.int32),
    )


@pytest.mark.parametrize(
    ("splits", "contents", "found"),
    [
        ("tttvvee", "abcdefg", {}),
        ("tttvvee", "abcdeaa", {("train", "test"): 2}),
        ("tttvvee", "aaadeaa", {("train", "test"): 2}),
        ("tttvvee", "aaaaeag", {("train", "validation"): 1, ("train", "test"): 1, ("validation", "test"): 1}),
        ("tttvvee", "abcdedd", {("validation", "test"): 2}),
        ("eevvttt", "abcdaab", {("train", "test"): 2}),
        ("----", "aaaa", {}),
        ("", "", {}),
    ],
)
def test_overlaps_count_the_photos_that_judge(splits, contents, found):
    assert make_index(splits, contents).overlaps() == found


def test_the_fingerprint_takes_two_spellings_of_a_name_for_one():
    index = make_index("tve", "abc")
    prints = {
        replace(index, paths=tuple(normalize(form, path) for path in index.paths)).fingerprint
        for form in ("NFC", "NFD")
    }
    assert len(prints) == 1


def test_the_fingerprint_of_plain_names_stays_as_it_always_was():
    """Pinned: runs would otherwise take their own index for an altered one."""
    index = replace(make_index("tve", "abc"), paths=("a/1.jpg", "a/2.jpg", "b/1.jpg"))
    assert index.fingerprint == "b2b0eb9bf7d46207b0781f842b23bf2fcb50d1507ba2559886aa7136efb49742"
    for other in (
        replace(index, paths=("a/1.jpg", "a/2.jpg", "b/2.jpg")),
        replace(index, splits=("train", "test", "test")),
        replace(index, classes=("b",)),
        replace(index, sha256=("a", "b", "d")),
    ):
        assert other.fingerprint != index.fingerprint
