"""demo: the digits that scikit-learn has, as photos."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import sortograph
from sortograph.api import digits
from sortograph.dataset import scan
from sortograph.errors import MissingExtra


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return digits.write_digits(tmp_path_factory.mktemp("demo") / "photos")


def test_every_digit_becomes_a_photo_in_the_folder_of_its_class(written):
    assert len(list(written.rglob("*.png"))) == len(list(written.glob("*/*"))) == 1797
    index = scan(written)
    assert index.classes == tuple("0123456789")
    counts = np.bincount(load_digits().target).tolist()
    assert list(index.counts()["all"].values()) == counts
    assert (index.sizes == 8).all()
    assert index.rejected == ()


def test_the_grey_is_that_of_the_data(written):
    data = load_digits()
    for label in (0, 7):
        first = data.images[np.flatnonzero(data.target == label)[0]]
        with Image.open(written / str(label) / "001.png") as photo:
            assert photo.mode == "L"
            assert np.abs(np.asarray(photo) - first * 255 / 16).max() <= 0.5


def test_a_second_time_writes_only_what_is_missing(written, tree):
    (written / "3" / "005.png").unlink()
    before = tree(written)
    digits.write_digits(written)
    after = tree(written)
    assert set(after) - set(before) == {"3/005.png"}
    assert {name for name in before if after[name] != before[name]} == {"3"}, "the folder alone"


def test_the_demo_trains_the_recipe_of_the_digits_beside_the_photos(tmp_path, monkeypatch):
    calls = []

    def few(folder):
        folder.mkdir()
        return folder

    monkeypatch.setattr(digits, "write_digits", few)
    monkeypatch.setattr(
        "sortograph.api.training.train", lambda photos, **options: calls.append((photos, options))
    )
    told = []
    sortograph.demo(out=tmp_path / "demo", seed=4, progress=told.append)
    ((photos, options),) = calls
    assert photos == tmp_path / "demo" / "photos"
    assert (options["recipe"], options["seed"]) == ("digits", 4)
    assert options["out"].parent == tmp_path / "demo"
    assert re.fullmatch(r"digits-\d{8}-\d{6}", options["out"].name)
    assert "1,797" in told[0].text


def test_without_scikit_learn_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtra, match="scikit-learn"):
        digits.write_digits(tmp_path / "photos")
    assert not (tmp_path / "photos").exists()
