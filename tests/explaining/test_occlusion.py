from __future__ import annotations

import numpy as np
import pytest

from sortograph.explaining.occlusion import LEAST_CALLS, MOST_CALLS, log_odds, occlusion

CORNERS = {"top left": (0, 0), "top right": (0, 39), "bottom left": (31, 0), "bottom right": (31, 39)}
SIDE = 9  # of the square that decides
SHAPE = (40, 48, 3)


def photo(at: tuple[int, int]) -> np.ndarray:
    """Grey noise with a red square whose upper left corner is `at`."""
    pixels = np.random.default_rng(5).integers(100, 140, SHAPE).astype(np.uint8)
    pixels[at[0] : at[0] + SIDE, at[1] : at[1] + SIDE] = (230, 20, 20)
    return pixels


def by_red(photos: np.ndarray) -> np.ndarray:
    """Logits of two classes: how much red there is decides, wherever it is."""
    wide = photos.astype(np.float32)
    red = np.maximum(wide[..., 0] - wide[..., 1] - 60, 0).mean(axis=(1, 2))
    return np.stack([red, np.full_like(red, 1.0)], axis=1)


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("calls", [LEAST_CALLS, 60, MOST_CALLS])
def test_the_heat_is_where_the_class_is_decided(corner, calls):
    top, left = CORNERS[corner]
    found = occlusion(photo((top, left)), by_red, 0, calls=calls)
    row, column = divmod(int(found.heatmap.argmax()), SHAPE[1])
    assert top <= row < top + SIDE
    assert left <= column < left + SIDE
    assert found.heatmap[row, column] == 1
    assert found.drop > 1
    assert log_odds(found.covered[None], 0)[0] == pytest.approx(
        log_odds(by_red(photo((top, left))[None]), 0)[0] - found.drop, abs=1e-5
    )


def test_what_speaks_against_a_class_is_below_zero():
    top, left = CORNERS["top right"]
    found = occlusion(photo((top, left)), by_red, 1)
    assert found.heatmap[top + SIDE // 2, left + SIDE // 2] < -0.8
    assert found.heatmap.max() < 0.05
    assert found.drop < 1e-3


@pytest.mark.parametrize("shape", [(8, 8, 3), (7, 30, 3), (64, 40, 3)])
@pytest.mark.parametrize("calls", [24, 37, 500])
def test_shape_range_and_budget(shape, calls):
    asked: list[int] = []
    random = np.random.default_rng(0)
    weights = random.normal(size=(int(np.prod(shape)), 3)).astype(np.float32)

    def answer(photos):
        asked.append(len(photos))
        return photos.reshape(len(photos), -1).astype(np.float32) @ weights / 100

    pixels = random.integers(0, 256, shape).astype(np.uint8)
    before = pixels.copy()
    found = occlusion(pixels, answer, 2, calls=calls)
    assert found.heatmap.shape == shape[:2]
    assert found.heatmap.dtype == np.float32
    assert np.abs(found.heatmap).max() == 1
    assert sum(asked) == min(calls, MOST_CALLS) + 1
    assert max(asked) <= 16
    assert (pixels == before).all()
    assert (occlusion(pixels, answer, 2, calls=calls).heatmap == found.heatmap).all()


def test_how_the_model_takes_its_batches_makes_no_difference():
    def one_by_one(photos):
        return np.concatenate([by_red(one[None]) for one in photos])

    pixels = photo((10, 20))
    assert (occlusion(pixels, one_by_one, 0).heatmap == occlusion(pixels, by_red, 0).heatmap).all()


def test_a_model_that_looks_at_nothing_gives_no_heat():
    found = occlusion(photo((2, 3)), lambda photos: np.tile(np.float32([2, 1]), (len(photos), 1)), 0)
    assert not found.heatmap.any()
    assert found.drop == 0
    assert found.covered.tolist() == [2, 1]


def test_one_class_alone_has_nothing_to_tell():
    found = occlusion(photo((2, 3)), lambda photos: by_red(photos)[:, :1], 0)
    assert not found.heatmap.any()


def test_log_odds_stay_finite_where_a_probability_is_one():
    logits = np.float32([[300, -300, 0]])
    assert log_odds(logits, 0)[0] == pytest.approx(300, abs=1e-6)
    assert log_odds(logits, 1)[0] == pytest.approx(-600, abs=1e-6)


def test_too_few_calls_are_refused():
    with pytest.raises(ValueError, match="fewer than 24"):
        occlusion(photo((2, 3)), by_red, 0, calls=LEAST_CALLS - 1)
