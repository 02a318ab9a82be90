"""Augmented views whose embeddings are kept: the same photo has the same views wherever it lies."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from sortograph.api.job import Job
from sortograph.api.views import view_key, view_pixels
from sortograph.dataset import SplitPlan, cut, scan
from sortograph.loading.pixels import PhotoPixels
from sortograph.recipe import load_recipe
from sortograph.records import silent


@pytest.fixture
def job(photos, tmp_path):
    recipe = load_recipe("weather", ["pixels.size=16"])
    pixels = PhotoPixels(recipe.pixels.spec(), 1 + recipe.augment.zoom)
    index = cut(scan(photos, keeper=pixels), SplitPlan(0))
    pixels.flush()
    return Job(recipe, index, pixels, tmp_path, time.monotonic(), silent, photos)


def test_views_differ_and_are_the_same_each_time(job):
    rows = job.index.rows("train")[:4]
    one, again, other = (view_pixels(job)(rows, view) for view in (1, 1, 2))
    assert (one.shape, one.dtype) == ((4, 16, 16, 3), np.uint8)
    np.testing.assert_array_equal(one, again)
    assert (one != other).any(axis=(1, 2, 3)).all()


def test_the_row_of_a_photo_has_no_say(job):
    rows = job.index.rows("train")
    turned = replace(job, index=job.index[np.arange(len(job.index))[::-1].copy()])
    there = len(job.index) - 1 - rows[:3]
    np.testing.assert_array_equal(view_pixels(job)(rows[:3], 1), view_pixels(turned)(there, 1))


def test_the_key_names_what_views_are_made_by():
    keys = {
        view_key(load_recipe("weather", [change]))
        for change in ("train.epochs=3", "augment.zoom=0.1", "train.seed=7", "train.batch_size=9")
    }
    assert len(keys) == 3, "epochs and batch size change no view"
