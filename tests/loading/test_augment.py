from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from sortograph.loading.augment import Augmenter, draws, mixed
from sortograph.recipe import Augment

COLUMNS = ("flip_x", "flip_y", "turn", "zoom", "shift_x", "shift_y", "brightness", "contrast")
EVERYTHING = Augment(
    horizontal_flip=True,
    vertical_flip=True,
    rotation=0.2,
    zoom=0.2,
    width_shift=0.3,
    height_shift=0.1,
    brightness=0.2,
    contrast=0.4,
)


def noise(count: int = 3, size: tuple[int, int] = (9, 12), seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def drawn(count: int = 1, **values: float) -> NDArray[np.float32]:
    """Draws in the middle, which change nothing, but for those that are named; 0 and 1 are the extremes."""
    table = np.full((count, len(COLUMNS)), 0.5, dtype=np.float32)
    for name, value in values.items():
        table[:, COLUMNS.index(name)] = value
    return table


def views(
    settings: Augment,
    photos: NDArray[np.uint8],
    table: NDArray[np.float32],
    size: tuple[int, int] | None = None,
) -> NDArray[np.float32]:
    """(N, H, W, 3), as photos are on disk."""
    augment = Augmenter(settings, size or photos.shape[1:3])
    made = augment(torch.from_numpy(photos), torch.from_numpy(table))
    assert made.dtype == torch.float32
    return made.permute(0, 2, 3, 1).numpy()


def slow(
    settings: Augment, photo: NDArray[np.uint8], draw: NDArray[np.float32], size: tuple[int, int]
) -> NDArray[np.float64]:
    """The same by a loop over pixels, in pixels of the view; reflection by counting, colours last."""
    wish = dict(zip(COLUMNS, draw.astype(np.float64) * 2 - 1, strict=True))
    angle = math.tau * settings.rotation * wish["turn"]
    scale = 1 + settings.zoom * wish["zoom"]
    height, width = size
    view = np.empty((height, width, 3))
    for row in range(height):
        for column in range(width):
            x, y = scale * (column + 0.5 - width / 2), scale * (row + 0.5 - height / 2)
            x, y = x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)
            x = -x if settings.horizontal_flip and wish["flip_x"] < 0 else x
            y = -y if settings.vertical_flip and wish["flip_y"] < 0 else y
            x += settings.width_shift * wish["shift_x"] * width
            y += settings.height_shift * wish["shift_y"] * height
            view[row, column] = sample(photo, (x / width + 0.5, y / height + 0.5))
    mean = view.mean()
    changed = mean + (view - mean) * (1 + settings.contrast * wish["contrast"])
    return np.clip(changed + 255 * settings.brightness * wish["brightness"], 0, 255)


def sample(photo: NDArray[np.uint8], place: tuple[float, float]) -> NDArray[np.float64]:
    """Bilinear at shares (x, y) of the sides; the photo goes on as its mirror image without end."""
    x, y = (share * side - 0.5 for share, side in zip(place, photo.shape[1::-1], strict=True))
    value = np.zeros(3)
    for dy in (0, 1):
        for dx in (0, 1):
            column, row = math.floor(x) + dx, math.floor(y) + dy
            weight = (1 - abs(x - column)) * (1 - abs(y - row))
            value += weight * photo[mirrored(row, photo.shape[0]), mirrored(column, photo.shape[1])]
    return value


def mirrored(number: int, side: int) -> int:
    number %= 2 * side
    return number if number < side else 2 * side - 1 - number


def test_without_wishes_the_photos_are_as_they_were():
    photos = noise()
    np.testing.assert_array_equal(views(Augment(), photos, draws(3, 1, 1)), photos)


@pytest.mark.parametrize("stored", [(9, 12), (11, 14)])
@pytest.mark.parametrize("seed", range(3))
def test_everything_at_once_is_as_the_slow_reference_has_it(seed, stored):
    """Photos may be stored larger than views are: the view then is still of the whole photo."""
    photos, table = noise(size=stored, seed=seed), draws(3, seed, 1)
    fast = views(EVERYTHING, photos, table, size=(9, 12))
    expected = [slow(EVERYTHING, photo, draw, (9, 12)) for photo, draw in zip(photos, table, strict=True)]
    np.testing.assert_allclose(fast, expected, atol=0.05)


@pytest.mark.parametrize(
    "name", ["rotation", "zoom", "width_shift", "height_shift", "brightness", "contrast"]
)
def test_draws_in_the_middle_change_nothing(name):
    photos = noise()
    settings = Augment.model_validate({name: 0.3})
    np.testing.assert_allclose(views(settings, photos, drawn(3)), photos, atol=0.01)


def test_flips_are_exact_mirror_images():
    photos = noise()
    both = Augment(horizontal_flip=True, vertical_flip=True)
    cases = {(0, 1): photos[:, :, ::-1], (1, 0): photos[:, ::-1], (0, 0): photos[:, ::-1, ::-1]}
    for (flip_x, flip_y), expected in cases.items():
        table = drawn(3, flip_x=flip_x, flip_y=flip_y)
        np.testing.assert_allclose(views(both, photos, table), expected, atol=0.01)
    only = Augment(horizontal_flip=True)
    np.testing.assert_allclose(views(only, photos, drawn(3, flip_x=1, flip_y=0)), photos, atol=0.01)


def test_half_of_the_photos_are_flipped():
    flipped = (draws(4000, 1, 1)[:, 0] < 0.5).mean()
    assert flipped == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(("turn", "quarters"), [(1.0, 1), (0.0, -1)])
def test_rotation_is_in_turns(turn, quarters):
    """0.25 is a quarter at most, to the left and to the right."""
    photos = noise(size=(8, 8))
    turned = views(Augment(rotation=0.25), photos, drawn(3, turn=turn))
    np.testing.assert_allclose(turned, np.rot90(photos, quarters, axes=(1, 2)), atol=0.01)


@pytest.mark.parametrize("turn", [0.0, 0.7, 1.0])
def test_rotation_by_a_fifth_is_that_of_pillow_by_72_degrees(turn):
    y, x = np.mgrid[:40, :40] / 40
    smooth = np.stack([x, y, np.sin(6 * x) * 0.5 + 0.5], axis=2)
    photo = (smooth * 255).round().astype(np.uint8)
    turned = views(Augment(rotation=0.2), photo[None], drawn(turn=turn))[0]
    degrees = 72 * (2 * turn - 1)
    expected = np.asarray(Image.fromarray(photo).rotate(degrees, Image.Resampling.BILINEAR))
    inside = np.hypot(x - 0.5, y - 0.5) < 0.45
    np.testing.assert_allclose(turned[inside], expected[inside], atol=2)


def test_rotation_keeps_angles_where_photos_are_not_square():
    """A quarter of a turn of a wide photo: its middle square turns as a square does."""
    photos = noise(size=(6, 14))
    turned = views(Augment(rotation=0.25), photos, drawn(3, turn=1.0))
    np.testing.assert_allclose(turned[:, :, 4:10], np.rot90(photos[:, :, 4:10], axes=(1, 2)), atol=0.01)


def test_zoom_keeps_the_aspect_and_stays_within_its_share():
    augment = Augmenter(Augment(zoom=0.2), (9, 12))
    maps = augment.maps(torch.from_numpy(draws(2000, 1, 1))).numpy()
    assert (maps[:, 0, 1] == 0).all()
    assert (maps[:, 1, 0] == 0).all()
    assert (maps[:, :, 2] == 0).all()
    np.testing.assert_array_equal(maps[:, 0, 0], maps[:, 1, 1])
    assert 0.8 <= maps[:, 0, 0].min() < 0.805
    assert 1.195 < maps[:, 0, 0].max() <= 1.2


def test_zooming_shows_the_middle_larger():
    photos = noise(size=(8, 8))
    near = views(Augment(zoom=0.5), photos, drawn(3, zoom=0.0))
    from_middle = views(Augment(), photos[:, 2:6, 2:6], drawn(3), size=(8, 8))
    np.testing.assert_allclose(near[:, 1:-1, 1:-1], from_middle[:, 1:-1, 1:-1], atol=0.01)


@pytest.mark.parametrize(
    ("name", "column", "axis"), [("width_shift", "shift_x", 2), ("height_shift", "shift_y", 1)]
)
def test_shifts_are_shares_of_the_side_and_filled_by_reflection(name, column, axis):
    photos = noise(size=(8, 8))
    settings = Augment.model_validate({name: 0.25})
    padding = [(0, 0)] * 4
    padding[axis] = (2, 2)
    wide = np.pad(photos, padding, mode="symmetric")
    for value, first in ((0.0, 0), (1.0, 4)):
        moved = views(settings, photos, drawn(3, **{column: value}))
        np.testing.assert_allclose(moved, wide.take(range(first, first + 8), axis=axis), atol=0.01)


def test_brightness_adds_a_share_of_the_full_range_and_stops_at_its_ends():
    photos = noise()
    for value, sign in ((0.0, -1), (1.0, 1)):
        changed = views(Augment(brightness=0.2), photos, drawn(3, brightness=value))
        np.testing.assert_allclose(changed, np.clip(photos + sign * 51.0, 0, 255), atol=0.01)


def test_contrast_is_a_factor_around_the_mean_of_the_photo():
    photos = noise()
    mean = photos.mean(axis=(1, 2, 3), keepdims=True)
    for value, factor in ((0.0, 0.6), (1.0, 1.4)):
        changed = views(Augment(contrast=0.4), photos, drawn(3, contrast=value))
        np.testing.assert_allclose(changed, np.clip(mean + (photos - mean) * factor, 0, 255), atol=0.05)


def test_flip_and_rotation_are_one_resampling():
    """One after the other they would blur twice; exact quarters show that the order is the same."""
    photos = noise(size=(8, 8))
    settings = Augment(horizontal_flip=True, rotation=0.25)
    both = views(settings, photos, drawn(3, flip_x=0, turn=1.0))
    flipped = views(settings, photos, drawn(3, flip_x=0))
    np.testing.assert_allclose(both, np.rot90(flipped, axes=(1, 2)), atol=0.02)
    calls = count_resamplings(lambda: views(EVERYTHING, photos, draws(3, 1, 1)))
    assert calls == 1


def count_resamplings(work) -> int:
    from torch.nn import functional as F

    calls, true = [], F.grid_sample
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(F, "grid_sample", lambda *args, **named: calls.append(1) or true(*args, **named))
        work()
    return len(calls)


def test_the_map_of_several_changes_is_the_product_of_their_maps():
    """Rotation and zoom, then flip, then shift: as 3 × 3 matrices on a square."""
    table = torch.from_numpy(draws(20, 3, 1))
    square = {"size": (8, 8)}
    parts = [
        Augment(width_shift=0.3, height_shift=0.1),
        Augment(horizontal_flip=True, vertical_flip=True),
        Augment(rotation=0.2),
        Augment(zoom=0.2),
    ]
    product = torch.eye(3).expand(20, 3, 3)
    for settings in parts:
        bottom = torch.tensor([0.0, 0.0, 1.0]).expand(20, 1, 3)
        product = product @ torch.cat([Augmenter(settings, **square).maps(table), bottom], dim=1)
    torch.testing.assert_close(Augmenter(EVERYTHING, **square).maps(table), product[:, :2])


def test_every_photo_has_draws_of_its_own():
    photos = np.repeat(noise(1), 20, axis=0)
    made = views(EVERYTHING, photos, draws(20, 1, 1))
    assert len({view.tobytes() for view in made}) == 20


def test_draws_follow_from_seed_epoch_and_row_alone():
    table = draws(50, 7, 3)
    assert table.shape == (50, len(COLUMNS))
    assert table.dtype == np.float32
    assert 0 <= table.min() < 0.05 < 0.95 < table.max() < 1
    np.testing.assert_array_equal(draws(50, 7, 3), table)
    np.testing.assert_array_equal(draws(20, 7, 3), table[:20])
    for seed, epoch in ((7, 4), (8, 3)):
        assert (draws(50, seed, epoch) != table).all(axis=1).any()


def batch(count: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Photos whose every value says which photo it is, and their one-hot labels."""
    photos = torch.arange(count).float().view(-1, 1, 1, 1).expand(-1, 3, 4, 4).contiguous()
    return photos, torch.eye(count)


def test_mixed_photos_are_as_much_of_each_as_their_labels_say():
    photos, shares = batch()
    mixtures, mixed_shares = mixed(photos, shares, 1.0, (1, 1, 0))
    torch.testing.assert_close(mixed_shares.sum(1), torch.ones(6))
    assert (mixed_shares >= 0).all()
    numbers = torch.arange(6).float()
    torch.testing.assert_close(mixtures, (mixed_shares @ numbers).view(-1, 1, 1, 1).expand_as(mixtures))
    kept = mixed_shares.diagonal()
    assert 0 < float(kept.min()) < 1
    assert ((mixed_shares > 0).sum(1) <= 2).all()


def test_mixtures_follow_from_seed_epoch_and_step():
    photos, shares = batch()
    first = mixed(photos, shares, 0.4, (1, 2, 3))[1]
    assert torch.equal(mixed(photos, shares, 0.4, (1, 2, 3))[1], first)
    for place in ((2, 2, 3), (1, 3, 3), (1, 2, 4)):
        assert not torch.equal(mixed(photos, shares, 0.4, place)[1], first)


def test_the_share_of_a_mixture_is_of_the_beta_distribution():
    photos, shares = batch(2)
    for alpha in (0.2, 4.0):
        partners = [mixed(photos, shares, alpha, (1, 1, step))[1] for step in range(600)]
        swapped = [float(found[0, 0]) for found in partners if float(found[0, 1]) > 0]
        variance = 1 / (4 * (2 * alpha + 1))
        assert np.mean(swapped) == pytest.approx(0.5, abs=0.06)
        assert np.var(swapped) == pytest.approx(variance, rel=0.2)
