from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sortograph.reporting import galleries
from sortograph.reporting.galleries import augmented_sheet, mistake_sheet, prediction_sheet, sample_sheet
from sortograph.reporting.sheet import Tile


@pytest.fixture
def tiles(monkeypatch: pytest.MonkeyPatch) -> list[Tile]:
    """What was handed over to be drawn."""
    seen: list[Tile] = []
    monkeypatch.setattr(galleries, "draw_sheet", lambda tiles, **_: seen.extend(tiles) or b"png")
    return seen


def test_samples_are_spread_over_the_classes(world: Any, tiles: list[Tile]) -> None:
    sample_sheet(world.index, world.pixels, 1)
    assert [tile.caption for tile in tiles] == ["음식"] * 9 + ["실내"] * 8 + ["실외"] * 8


def test_a_hundred_classes_show_25_of_them(make: Callable[..., Any], tiles: list[Tile]) -> None:
    world = make(classes=tuple(f"c{k:02}" for k in range(100)), n=400)
    sample_sheet(world.index, world.pixels, 1)
    assert len({tile.caption for tile in tiles}) == 25


def test_few_photos_are_all_shown(world: Any, tiles: list[Tile]) -> None:
    labels = world.index.labels.copy()
    labels[5:] = -1
    sample_sheet(replace(world.index, labels=labels), world.pixels, 1)
    assert len(tiles) == 5


def test_the_choice_depends_on_the_seed_alone(world: Any) -> None:
    first = sample_sheet(world.index, world.pixels, 1)
    assert first == sample_sheet(world.index, world.pixels, 1)
    assert first != sample_sheet(world.index, world.pixels, 2)


def test_predictions_are_marked_right_and_wrong(world: Any, tiles: list[Tile]) -> None:
    rows: list[int] = []
    pixels = lambda chosen: rows.extend(chosen.tolist()) or world.pixels(chosen)  # noqa: E731
    prediction_sheet(world.index, world.table, pixels, 3)
    assert len(tiles) == len(set(rows)) == 100
    place = {int(row): i for i, row in enumerate(world.table.rows)}
    said, shares = world.table.predicted(), world.table.probabilities().max(axis=1)
    for row, tile in zip(rows, tiles, strict=True):
        right = said[place[row]] == world.index.labels[row]
        assert tile.tone == ("right" if right else "wrong")
        assert ("truth: " in tile.caption) is not right
        assert tile.caption.startswith(f"{100 * shares[place[row]]:.0f} %")
    assert {tile.tone for tile in tiles} == {"right", "wrong"}


def test_unlabelled_photos_are_neither_right_nor_wrong(world: Any, tiles: list[Tile]) -> None:
    index = replace(world.index, labels=np.full(len(world.index), -1, dtype=np.int64))
    prediction_sheet(index, replace(world.table, labels=None), world.pixels, 3)
    assert {tile.tone for tile in tiles} == {"plain"}


def test_temperature_softens_the_probabilities(world: Any, tiles: list[Tile]) -> None:
    prediction_sheet(world.index, world.table, world.pixels, 3, temperature=1e6)
    assert {tile.caption.split(" %")[0] for tile in tiles} == {"33"}


def test_mistakes_come_most_confident_first(world: Any, tiles: list[Tile]) -> None:
    mistake_sheet(world.index, world.table, world.pixels)
    wrong = int((world.table.predicted() != world.table.labels).sum())
    assert len(tiles) == min(20, wrong) > 3
    percents = [int(tile.caption.split(" %")[0]) for tile in tiles]
    assert percents == sorted(percents, reverse=True)
    assert all(tile.tone == "wrong" and "\ntruth: " in tile.caption for tile in tiles)


def test_no_mistakes_make_no_picture(world: Any) -> None:
    table = replace(world.table, labels=world.table.predicted())
    assert mistake_sheet(world.index, table, world.pixels) == b""


def test_nine_views_are_three_by_three(world: Any) -> None:
    with Image.open(io.BytesIO(augmented_sheet(world.pixels(np.arange(9))))) as sheet:
        assert sheet.width == sheet.height
