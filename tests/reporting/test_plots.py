from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sortograph.errors import MissingExtra
from sortograph.records import EpochRow
from sortograph.reporting import plots


def size(png: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(png)) as image:
        image.load()
        return image.size


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures behind the pictures, for a look at what is in them."""
    seen: list[Any] = []
    png = plots.png
    monkeypatch.setattr(plots, "png", lambda figure: seen.append(figure) or png(figure))
    return seen


def test_curves_show_both_splits_and_the_kept_epoch(world: Any, figures: list[Any]) -> None:
    assert 1200 < size(plots.curves(world.run.history, 17))[0] < 1400
    for axes in figures[0].axes:
        lines = {line.get_label(): line for line in axes.lines}
        assert set(lines) == {"train", "validation", "kept: epoch 17"}
        assert len(lines["validation"].get_xdata()) == 20


def test_curves_without_validation_or_with_one_epoch(figures: list[Any]) -> None:
    row = EpochRow(1, 0.7, 0.5, None, None, 1e-3, 1.0, 100.0)
    size(plots.curves([row], None))
    assert [line.get_label() for line in figures[0].axes[0].lines] == ["train"]
    assert plots.curves([], None) == b""


def test_curves_survive_a_loss_that_exploded(figures: list[Any]) -> None:
    rows = [EpochRow(e, float("nan"), 0.5, float("inf"), 0.5, 1e-3, 1.0, 100.0) for e in (1, 2)]
    size(plots.curves(rows, 1))
    losses, accuracies = figures[0].axes
    assert not any(np.isfinite(line.get_ydata()).any() for line in losses.lines[:2])
    assert list(accuracies.lines[0].get_ydata()) == [0.5, 0.5], "what is finite is drawn"


def test_confusion_shows_counts_and_names(world: Any, figures: list[Any]) -> None:
    result = world.run.evaluation["test"]
    size(plots.confusion(result, world.index.classes))
    axes = figures[0].axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["음식", "실내", "실외"]
    written = [int(text.get_text()) for text in axes.texts]
    assert sorted(written) == sorted(int(v) for v in result.confusion.ravel() if v)


def test_a_hundred_classes_stay_readable(make: Callable[..., Any], figures: list[Any]) -> None:
    names = tuple(f"${k} <b> 한글 \u202e class" for k in range(100))
    world = make(classes=names, n=1200)
    result = world.run.evaluation["test"]
    assert max(size(plots.confusion(result, names))) <= 1600
    assert not figures[0].axes[0].texts
    assert len(figures[0].axes[0].get_yticks()) <= 25
    size(plots.per_class(result))
    assert len(figures[1].axes[0].get_yticks()) == 40
    assert "of 100 classes" in figures[1].axes[0].get_xlabel()


def test_per_class_is_sorted_lowest_first(world: Any, figures: list[Any]) -> None:
    result = world.run.evaluation["test"]
    size(plots.per_class(result))
    values = figures[0].axes[0].lines[0].get_xdata()
    assert list(values) == sorted(score.f1.value for score in result.per_class)
    assert plots.per_class(replace(result, per_class=())) == b""


def test_characters_without_a_glyph_do_not_warn(make: Callable[..., Any], figures: list[Any]) -> None:
    world = make(classes=("\U0010fffd\U0001f600", "\udcff", "漢字"), n=60)
    size(plots.per_class(world.run.evaluation["test"]))
    assert len(figures[0].axes[0].get_yticklabels()) == 3


def test_a_class_without_photos_is_drawn(world: Any, figures: list[Any]) -> None:
    empty = replace(world.run.evaluation["test"], confusion=np.zeros((3, 3), dtype=np.int64))
    size(plots.confusion(empty, world.index.classes))
    assert not figures[0].axes[0].texts, "nothing was counted, nothing is written"


def test_reliability_draws_each_bin_and_its_photos(sure: Any, figures: list[Any]) -> None:
    result = sure.run.evaluation["test"]
    size(plots.reliability(result))
    above, below = figures[0].axes
    points = above.lines[1].get_xydata()
    assert points.tolist() == [[one.confidence, one.accuracy.value] for one in result.reliability]
    assert [bar.get_height() for bar in below.patches] == [one.accuracy.n for one in result.reliability]
    assert sum(bar.get_height() for bar in below.patches) == result.n
    low, high = below.get_xlim()
    assert low <= result.reliability[0].low
    assert high >= 1


def test_without_bins_no_reliability_is_drawn(world: Any) -> None:
    assert plots.reliability(world.run.evaluation["test"]) == b""


def test_the_users_settings_of_matplotlib_are_left_alone_and_not_used(world: Any) -> None:
    import matplotlib

    before = plots.curves(world.run.history, 3)
    with matplotlib.rc_context({"font.size": 40, "axes.facecolor": "red"}):
        assert plots.curves(world.run.history, 3) == before
        assert matplotlib.rcParams["font.size"] == 40
    assert "matplotlib.pyplot" not in sys.modules


def test_without_matplotlib_the_extra_is_named(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"sortograph\[train\]"):
        plots.curves(world.run.history, 1)
