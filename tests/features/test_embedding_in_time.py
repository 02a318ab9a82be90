"""Embedding as many photos as there is time for, by a clock that ticks with each embedded photo."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from sortograph.dataset import scan
from sortograph.errors import RunError
from sortograph.features import FeatureKeeper
from sortograph.features import cache as module

EACH = 2.0  # seconds for a photo


@pytest.fixture
def embedder(counting, monkeypatch):
    """One photo at a time, each of which takes its seconds; nothing else takes any."""
    embedder = counting(threads=1, batch=1)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: embedder.photos * EACH))
    return embedder


@pytest.fixture
def index(photos):
    return scan(photos)


def test_photos_are_embedded_in_the_order_that_is_asked_for_until_it_is_late(index, embedder):
    keeper = FeatureKeeper(embedder)
    order = np.arange(len(index))[::-1]
    pace = keeper.embed_until(index, order, 6 * EACH)
    left = keeper.lacking(index, order)
    assert 5 <= embedder.photos <= 7
    assert left == order[embedder.photos :].tolist()
    assert pace.photos == embedder.photos
    assert pace.each == EACH


def test_the_next_time_goes_further(index, embedder, counting):
    keeper = FeatureKeeper(embedder)
    rows = np.arange(len(index))
    keeper.embed_until(index, rows, 5 * EACH)
    left = len(keeper.lacking(index, rows))
    assert 0 < left < len(index)
    again = FeatureKeeper(counting())
    assert len(again.lacking(index, rows)) == left
    assert again.embed_until(index, rows, None).photos == left
    assert again.table(index, rows).features.shape == (len(index), 3)


def test_nothing_is_embedded_once_it_is_late(index, embedder):
    keeper = FeatureKeeper(embedder)
    pace = keeper.embed_until(index, np.arange(len(index)), -1.0)
    assert (embedder.photos, pace.photos, pace.each) == (0, 0, float("inf"))


def test_what_is_there_takes_no_time(index, embedder):
    keeper = FeatureKeeper(embedder)
    rows = np.arange(len(index))
    keeper.embed_until(index, rows, None)
    assert keeper.embed_until(index, rows, -1.0).each == 0.0
    assert keeper.pace(index, rows, 1.0).each == 0.0


def test_photos_that_are_read_late_are_indexed_and_not_embedded(photos, embedder):
    keeper = FeatureKeeper(embedder)
    keeper.until = -1.0
    index = scan(photos, keeper=keeper)
    keeper.flush()
    assert (len(index), embedder.photos) == (12, 0)


def test_what_was_indexed_before_is_not_read_again_where_time_is_short(photos, embedder, monkeypatch):
    monkeypatch.setattr("sortograph.dataset.memory._SETTLED", 0)
    index = scan(photos)
    keeper = FeatureKeeper(embedder)
    keeper.until = 1000.0
    assert len(scan(photos, keeper=keeper)) == len(index)
    keeper.flush()
    assert embedder.photos == 0, "embed_until chooses the order"


def test_embedding_ends_while_photos_are_read_and_what_waits_is_dropped(photos, embedder):
    keeper = FeatureKeeper(embedder)
    keeper.until = 4 * EACH
    index = scan(photos, keeper=keeper)
    keeper.flush()
    assert len(index) == 12
    assert 4 <= embedder.photos <= 8
    assert len(keeper.lacking(index, np.arange(len(index)))) == len(index) - embedder.photos


def test_the_pace_is_that_of_this_machine_with_these_photos(index, embedder):
    keeper = FeatureKeeper(embedder)
    pace = keeper.pace(index, np.arange(len(index)), 0.0)
    assert pace.photos == embedder.photos == 2
    pace = keeper.pace(index, np.arange(len(index)), 60.0)
    assert embedder.photos == len(index)
    assert pace.each == EACH


def test_a_photo_that_is_gone_is_told(photos, index, counting):
    (photos / index.paths[3]).unlink()
    with pytest.raises(RunError, match="cannot be used any more"):
        FeatureKeeper(counting()).embed_until(index, np.arange(len(index)), None)


def test_fewer_views_where_there_is_no_time_for_all(index, embedder):
    rows = np.arange(len(index))
    keeper = FeatureKeeper(embedder)
    blank = np.zeros((1, *embedder.spec.size, 3), np.uint8)

    def pixels(some, view):
        return np.repeat(blank + np.uint8(view), len(some), axis=0)

    found = keeper.embed_views(index, rows, pixels, "key", range(1, 6), 1.5 * len(index) * EACH)
    assert found[:, 0, 0].tolist() == [1.0, 2.0], "a view that is begun is ended"
