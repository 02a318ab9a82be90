from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sortograph.records import Explanation
from sortograph.reporting import explained, galleries
from sortograph.reporting.explained import (
    Lookalikes,
    confused_sheet,
    doubtful,
    explanation_tiles,
    heatmap_sheet,
    lookalike_sheet,
    overlay,
)
from sortograph.reporting.galleries import hit_sheet
from sortograph.reporting.sheet import Tile, draw_sheet


@pytest.fixture
def tiles(monkeypatch: pytest.MonkeyPatch) -> list[Tile | None]:
    """What was handed over to be drawn."""
    seen: list[Tile | None] = []
    for module in (explained, galleries):
        monkeypatch.setattr(module, "draw_sheet", lambda tiles, **_: seen.extend(tiles) or b"png")
    return seen


def right(world: Any) -> np.ndarray:
    return world.table.predicted() == world.table.labels


def test_hits_come_least_confident_first(world: Any, tiles: list[Tile]) -> None:
    hit_sheet(world.index, world.table, world.pixels)
    percents = [int(tile.caption.split(" %")[0]) for tile in tiles]
    assert len(tiles) == 10
    assert percents == sorted(percents)
    assert {tile.tone for tile in tiles} == {"right"}
    lowest = world.table.probabilities().max(axis=1)[right(world)].min()
    assert percents[0] == round(100 * lowest)


def test_doubtful_photos_are_mistakes_before_right_answers(world: Any) -> None:
    wrong = int((~right(world)).sum())
    places = doubtful(world.index, world.table, wrong + 5)
    assert len(set(places.tolist())) == wrong + 5
    assert right(world)[places].tolist() == [False] * wrong + [True] * 5
    confidence = world.table.probabilities().max(axis=1)[places]
    assert (np.diff(confidence[:wrong]) <= 0).all()
    assert (np.diff(confidence[wrong:]) >= 0).all()


def test_without_labels_nothing_is_doubtful(world: Any) -> None:
    index = replace(world.index, labels=np.full(len(world.index), -1, dtype=np.int64))
    assert not len(doubtful(index, replace(world.table, labels=None), 5))


def test_confused_pairs_come_most_often_first(world: Any, tiles: list[Tile | None]) -> None:
    confused_sheet(world.index, world.table, world.pixels)
    truth, said = world.table.labels, world.table.predicted()
    pairs = [(0, 1), (0, 2), (1, 2)]
    counts = [int(sum(((truth == a) & (said == b)).sum() for a, b in (pair, pair[::-1]))) for pair in pairs]
    shown = [pair for _, pair in sorted(zip(counts, pairs, strict=True), key=lambda one: -one[0])]
    rows = [tiles[start : start + 7] for start in range(0, len(tiles), 7)]
    assert len(rows) == 3
    names = world.index.classes
    for row, (a, b), count in zip(rows, shown, sorted(counts, reverse=True), strict=True):
        wrong = [tile for tile in row[:3] if tile is not None]
        assert len(wrong) == min(3, count)
        for tile in wrong:
            assert tile.tone == "wrong"
            assert {tile.caption.split("% ")[1].split("\n")[0], tile.caption.split("truth: ")[1]} == {
                names[a],
                names[b],
            }
        assert [tile.tone for tile in row[3:]] == ["right"] * 4
        assert [tile.caption.split("% ")[1] for tile in row[3:]] == [names[a], names[a], names[b], names[b]]


def test_no_mistakes_mean_no_confused_pairs(world: Any) -> None:
    table = replace(world.table, labels=world.table.predicted())
    assert confused_sheet(world.index, table, world.pixels) == b""


def test_lookalikes_stand_beside_their_photo(world: Any, tiles: list[Tile]) -> None:
    train = world.index.rows("train")[:4].reshape(2, 2)
    places = doubtful(world.index, world.table, 2)
    cosines = np.float32([[0.91, 0.5], [0.8, -0.25]])
    lookalike_sheet(world.index, world.table, world.pixels, Lookalikes(places, train, cosines))
    assert [tile.tone for tile in tiles] == ["wrong", "plain", "plain"] * 2
    names = [world.index.classes[k] for k in world.index.labels[train.ravel()]]
    captions = [tile.caption for k, tile in enumerate(tiles) if k % 3]
    assert captions == [f"{name}\ncosine {c:.2f}" for name, c in zip(names, cosines.ravel(), strict=True)]
    assert (tiles[1].pixels == world.pixels(train[0, :1])[0]).all()


def test_no_lookalikes_make_no_picture(world: Any) -> None:
    none = np.zeros((0, 1), dtype=np.int64)
    found = Lookalikes(none[:, 0], none, none.astype(np.float32))
    assert lookalike_sheet(world.index, world.table, world.pixels, found) == b""


def test_heat_is_laid_over_the_photo_of_its_place(world: Any, tiles: list[Tile]) -> None:
    places = doubtful(world.index, world.table, 2)
    heat = np.zeros((64, 64), dtype=np.float32)
    heat[10:20, 10:20] = 1
    heatmap_sheet(world.index, world.table, world.pixels, (places, [heat, 0 * heat]))
    photos = world.pixels(world.table.rows[places])
    assert (tiles[0].pixels == overlay(photos[0], heat)).all()
    assert (tiles[1].pixels == overlay(photos[1], 0 * heat)).all()
    assert [tile.tone for tile in tiles] == ["wrong", "wrong"]


def test_heat_is_yellow_for_and_blue_against() -> None:
    pixels = np.full((2, 2, 3), 128, dtype=np.uint8)
    drawn = overlay(pixels, np.float32([[1, -1], [0.4, 0]])).astype(int)
    assert drawn.shape == (2, 2, 3)
    red, green, blue = drawn[0, 0]
    assert red > 200
    assert green > 170
    assert blue < 100
    assert drawn[0, 1, 2] > drawn[0, 1, 0] + 80
    assert drawn[1, 0, 0] > drawn[1, 0, 2] + 30
    assert len(set(drawn[1, 1].tolist())) == 1


@pytest.mark.parametrize(
    ("changes", "beside"),
    [
        ({}, "cat\nwith one part covered: 12 %"),
        ({"covered": None, "method": "grad-cam"}, "cat\ngrad-cam"),
        ({"heatmap": np.zeros((4, 6), np.float32)}, "cat\nocclusion: nothing speaks for it"),
    ],
)
def test_a_photo_beside_its_heatmap(changes: dict[str, Any], beside: str) -> None:
    heat = np.zeros((4, 6), dtype=np.float32)
    heat[1, 5] = 1
    values: dict[str, Any] = {"heatmap": heat, "method": "occlusion", "covered": 0.12, **changes}
    pixels = np.full((4, 6, 3), 99, dtype=np.uint8)
    found = Explanation("a.jpg", "cat", 0.71, "dog", pixels=pixels, **values)
    photo, other = explanation_tiles(found)
    assert (photo.caption, other.caption) == ("71 % cat\npredicted: dog", beside)
    assert (photo.pixels == pixels).all()


def test_a_place_may_stay_empty() -> None:
    tile = Tile(np.full((8, 8, 3), 255, dtype=np.uint8), "")
    with Image.open(io.BytesIO(draw_sheet([tile, None, tile], columns=3, tile=20))) as sheet:
        pixels = np.asarray(sheet).astype(int)
    third = pixels.shape[1] // 3
    assert pixels[:, third : 2 * third].max() < 40
    assert pixels[:, :third].max() == 255
    assert draw_sheet([None]) == b""
