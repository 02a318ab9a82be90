from __future__ import annotations

import numpy as np
import pytest

from sortograph.dataset import scan
from sortograph.errors import UsageError
from sortograph.features import FeatureKeeper
from sortograph.features import cache as module
from sortograph.records import PreprocessSpec, Step


class Views:
    """Photos whose pixels all are 10 · row + view."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[int], int]] = []

    def __call__(self, rows: np.ndarray, view: int) -> np.ndarray:
        self.asked.append((rows.tolist(), view))
        return np.stack([np.full((6, 5, 3), 10 * row + view, np.uint8) for row in rows])


def expected(rows: range, views: range) -> np.ndarray:
    return np.array([[[10 * row + view] * 3 for row in rows] for view in views], dtype=np.float32)


def test_views_are_embedded_once_and_kept_by_number(photos, counting):
    index, views = scan(photos), Views()
    rows = np.arange(len(index))
    found = FeatureKeeper(counting()).embed_views(index, rows, views, "zoom-1", range(1, 3))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected(range(12), range(1, 3)))
    again, embedder = Views(), counting()
    found = FeatureKeeper(embedder).embed_views(index, rows, again, "zoom-1", range(1, 4))
    assert {view for _, view in again.asked} == {3}
    assert embedder.photos == 12
    np.testing.assert_array_equal(found, expected(range(12), range(1, 4)))


def test_other_keys_and_plain_photos_have_stores_of_their_own(photos, counting, cache):
    index, embedder = scan(photos), counting()
    rows, keeper = np.arange(len(index)), FeatureKeeper(embedder)
    keeper.table(index, rows)
    keeper.embed_views(index, rows, Views(), "zoom-1", range(1, 2))
    keeper.embed_views(index, rows, Views(), "zoom-2", range(1, 2))
    assert embedder.photos == 36
    assert len(list(cache.rglob("values.bin"))) == 3


def test_only_rows_that_lack_a_view_are_asked_for(photos, counting, monkeypatch):
    monkeypatch.setattr(module, "_VIEWS_AT_ONCE", 4)
    index, views = scan(photos), Views()
    FeatureKeeper(counting()).embed_views(index, np.array([2, 5]), Views(), "k", range(1, 2))
    chosen = np.arange(1, 9)
    found = FeatureKeeper(counting()).embed_views(index, chosen, views, "k", range(1, 2))
    assert views.asked == [([1, 3, 4, 6], 1), ([7, 8], 1)]
    np.testing.assert_array_equal(found, expected(range(1, 9), range(1, 2)))


def test_joined_embedders_and_half_precision(photos, counting):
    index = scan(photos)
    keeper = FeatureKeeper([counting("one"), counting("other")], precision="float16")
    found = keeper.embed_views(index, np.arange(12), Views(), "k", range(1, 3))
    np.testing.assert_array_equal(found, np.tile(expected(range(12), range(1, 3)), 2))


def test_progress_counts_all_views(photos, counting):
    index, events = scan(photos), []
    keeper = FeatureKeeper(counting(), progress=events.append)
    keeper.embed_views(index, np.arange(12), Views(), "k", range(1, 4))
    assert all(isinstance(event, Step) and event.total == 36 for event in events)
    assert events[-1].done == 36
    assert events[-1].seconds_left == 0


def test_no_views_and_no_rows(photos, counting):
    index, keeper = scan(photos), FeatureKeeper(counting())
    assert keeper.embed_views(index, np.arange(12), Views(), "k", range(0)).shape == (0, 12, 3)
    none = np.array([], dtype=np.int64)
    assert keeper.embed_views(index, none, Views(), "k", range(1, 3)).shape == (2, 0, 3)
    assert keeper.table(index, none).features.shape == (0, 3)


def test_embedders_of_different_sizes_cannot_share_views(photos, counting):
    keeper = FeatureKeeper([counting("one"), counting("other", PreprocessSpec(size=(7, 7)))])
    with pytest.raises(UsageError, match="differently"):
        keeper.embed_views(scan(photos), np.arange(12), Views(), "k", range(1, 2))
