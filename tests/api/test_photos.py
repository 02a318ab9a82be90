"""index: what is in a folder, and a picture of it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import sortograph
from sortograph.errors import DataError, RecipeError, StorageError, UsageError
from sortograph.records import Step


def test_photos_are_found_and_cut(photos, watch):
    watch(photos)
    found = sortograph.index(photos)
    assert found.classes == ("blue", "green", "red")
    assert (len(found), found.rejected, found.ignored) == (30, (), 0)
    counts = {split: sum(of.values()) for split, of in found.counts().items()}
    assert counts == {"train": 20, "validation": 5, "test": 5}, "15 % of 30 is 4.5"


def test_the_cut_is_that_of_training(run, photos):
    """With the same recipe and settings, and with nothing else."""
    classes = ("red", "green", "blue")
    assert sortograph.index(photos, recipe="weather", classes=classes).fingerprint == run.fingerprint
    as_setting = [f"data.classes={list(classes)}"]
    assert sortograph.index(photos, recipe="weather", overrides=as_setting).fingerprint == run.fingerprint
    assert sortograph.index(photos, classes=classes).fingerprint != run.fingerprint


def test_short_forms_are_settings(photos):
    short = sortograph.index(photos, split_seed=5, validation=0.2, test=0)
    settings = ["split.seed=5", "split.validation=0.2", "split.test=0"]
    assert sortograph.index(photos, overrides=settings).splits == short.splits
    both = sortograph.index(photos, overrides=["split.seed=4"], split_seed=5, validation=0.2, test=0.0)
    assert both.splits == short.splits
    assert set(short.splits) == {"train", "validation"}


def test_seed_and_shares_of_the_cut(photos):
    plain, other = sortograph.index(photos), sortograph.index(photos, split_seed=5)
    assert plain.splits != other.splits
    assert plain.counts() == other.counts()
    halves = sortograph.index(photos, validation=0, test=0.5).counts()
    assert {split: sum(counts.values()) for split, counts in halves.items()} == {"train": 15, "test": 15}


def test_the_order_of_classes(photos):
    found = sortograph.index(photos, classes=["red", "green", "blue"])
    assert found.classes == ("red", "green", "blue")
    labels = [found.classes[k] for k in found.labels]
    assert labels == [path.split("/")[0] for path in found.paths]


def test_progress_is_told(photos):
    told = []
    sortograph.index(photos, progress=told.append)
    assert Step("reading photos", 30, 30) in told
    assert all(step.done <= step.total for step in told)


def test_a_grid_is_drawn_at_the_size_of_its_tiles(photos, tmp_path, watch):
    watch(photos)
    sortograph.index(photos, grid=tmp_path / "new" / "grid.png")
    with Image.open(tmp_path / "new" / "grid.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 320
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 100


def test_an_earlier_grid_is_drawn_again(photos, tmp_path):
    sortograph.index(photos, grid=tmp_path / "grid.png")
    first = (tmp_path / "grid.png").read_bytes()
    sortograph.index(photos, grid=tmp_path / "grid.png", split_seed=0)
    assert (tmp_path / "grid.png").read_bytes() == first


def test_a_grid_is_a_png(photos, tmp_path):
    with pytest.raises(UsageError, match=r"grid\.jpg"):
        sortograph.index(photos, grid=tmp_path / "grid.jpg")
    assert not (tmp_path / "grid.jpg").exists()


@pytest.mark.parametrize("what", ["text", "folder", "photo"])
def test_a_grid_is_drawn_over_nothing_but_a_grid(photos, tmp_path, watch, what):
    target = tmp_path / "grid.png"
    if what == "folder":
        target.mkdir()
    elif what == "text":
        target.write_text("thesis")
    else:
        Image.new("RGB", (8, 8)).save(target)
    watch(tmp_path)
    with pytest.raises(StorageError, match="not a grid of ours"):
        sortograph.index(photos, grid=target)


@pytest.mark.parametrize("place", ["grid.png", "red/grid.png", "new/grid.png", "red/../grid.png"])
def test_no_grid_among_the_photos(photos, watch, place):
    watch(photos)
    with pytest.raises(UsageError, match="among the photos") as raised:
        sortograph.index(photos, grid=photos / place)
    assert "--grid" in raised.value.fix


def test_wrong_arguments(photos, tmp_path):
    with pytest.raises(UsageError, match="leave less than 5 %"):
        sortograph.index(photos, validation=0.6, test=0.6)
    with pytest.raises(RecipeError, match="did you mean 'weather'"):
        sortograph.index(photos, recipe="wether")
    with pytest.raises(DataError, match="no such folder"):
        sortograph.index(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="did you mean 'green'"):
        sortograph.index(photos, classes=["red", "gren", "blue"])
