"""Do two photos show the same picture? Laid on each other, and compared pixel by pixel.

Of two photos that may be mirrored, cropped, re-encoded or resized copies, the first is shifted and stretched
until it lies on the second, by the inverse additive scheme of Lucas and Kanade, "An iterative image
registration technique", IJCAI 1981, 674–679, from coarse to fine; then both are compared where they overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Reals = NDArray[np.float32]

SIDE = 96
_LEVELS = ((4, 4), (2, 4))  # (pixels of a side averaged into one, steps) from coarse to fine
_STRETCH = 0.15  # by how much a side may shrink or grow
_TINY = 1e-6
_PAIRS = 128  # compared together
_BLURS = (0.0, 0.4, 0.6, 0.8, 1.0, 1.25, 1.6)  # that are tried, in pixels of half the size
# What two photos must have in common. Sheets of white paper are alike as a whole, whatever is written on
# them: their detail tells. Where that is faint, as in tiny photos that were enlarged, it must agree the more.
WHOLE, OVERLAP = 0.93, 0.7
DETAIL, FAINT_DETAIL, FAINT = 0.75, 0.95, 1.2


@dataclass(frozen=True, slots=True)
class Likeness:
    """Of n pairs, float32 (n,) each.

    whole    correlation of the luma where the photos overlap, −1–1
    detail   correlation of its fine detail: what is left when each pixel's neighbourhood is taken away
    overlap  the part of the second photo that the first one covers, 0–1
    contrast  standard deviation of the fainter detail of both, in grey levels
    """

    whole: Reals
    detail: Reals
    overlap: Reals
    contrast: Reals


def same_picture(
    pixels: NDArray[np.uint8],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    mirrored: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Whether two photos show the same picture, for n pairs of rows of `pixels`, uint8 (N, 96, 96, 3).

    mirrored: bool (n,), which pairs show each other mirrored
    """
    answers = np.zeros(len(first), dtype=np.bool_)
    for start in range(0, len(first), _PAIRS):
        part = slice(start, start + _PAIRS)
        others = pixels[second[part]]
        flipped = np.where(mirrored[part, None, None, None], others[:, :, ::-1], others)
        answers[part] = are_same(likeness(pixels[first[part]], flipped))
    return answers


def are_same(found: Likeness) -> NDArray[np.bool_]:
    needed = np.where(found.contrast < FAINT, FAINT_DETAIL, DETAIL)
    return np.asarray((found.whole >= WHOLE) & (found.overlap >= OVERLAP) & (found.detail >= needed))


def likeness(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Likeness:
    """Compare photos pair by pair: uint8 (n, 96, 96, 3) each, mirrored already where they are."""
    a, b = _luma(first), _luma(second)
    return _compared(a, b, _place(a, b))


def soft_likeness(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Reals:
    """As `likeness`, the correlation of detail where one of two photos may be blurred, float32 (n,), −1–1.

    The sharper photo is blurred until its detail agrees best with that of the other, at half the size, where
    noise and re-encoding leave less behind.
    """
    a, b = _luma(first), _luma(second)
    moved, inside = _moved(a, _place(a, b))
    a_small, b_small, within = (_averaged(each, 2) for each in (moved, b, inside))
    inner = _inner(_reals(within == 1))
    detail = [_detail(each) for each in (a_small, b_small)]
    sharper = (_contrast(detail[0], inner) > _contrast(detail[1], inner))[:, None, None]
    sharp, soft = np.where(sharper, a_small, b_small), np.where(sharper, detail[1], detail[0])
    found = [_correlation(_detail(_blurred(sharp, width)), soft, inner) for width in _BLURS]
    return _reals(np.max(found, axis=0))


def _place(a: Reals, b: Reals) -> Reals:
    """Where the second photos lie in the first ones: (top, height, left, width), float32 (n, 4)."""
    place = np.tile(np.array([0, 1, 0, 1], dtype=np.float32), (len(a), 1))
    for block, steps in _LEVELS:
        small_a, small_b = _averaged(a, block), _averaged(b, block)
        for _ in range(steps):
            place = _step(small_a, small_b, place)
    return place


def _luma(photos: NDArray[np.uint8]) -> Reals:
    red, green, blue = (photos[..., channel].astype(np.float32) for channel in range(3))
    return _reals(0.299 * red + 0.587 * green + 0.114 * blue)


def _averaged(luma: Reals, block: int) -> Reals:
    n, side = len(luma), SIDE // block
    means: Reals = luma.reshape(n, side, block, side, block).mean(axis=(2, 4))
    return means


def _step(a: Reals, b: Reals, place: Reals) -> Reals:
    """One Gauss–Newton step of (top, height, left, width), float32 (n, 4), in sides of the first photo."""
    side = a.shape[1]
    moved, inside = _moved(a, place)
    moved, target = _standard(moved, inside), _standard(b, inside)
    down, right = np.gradient((moved + target) * (side / 2), axis=(1, 2))
    along = _centres(side)
    slopes = np.stack([down, down * along[:, None], right, right * along], axis=1)
    slopes = (slopes * inside[:, None]).reshape(len(a), 4, -1)
    gaps = ((target - moved) * inside).reshape(len(a), -1)
    # No matrix products: BLAS would set threads to them, which wait for each other on a busy machine.
    normal = np.einsum("nip,njp->nij", slopes, slopes)
    ridge = normal.trace(axis1=1, axis2=2) * 1e-4 + _TINY
    normal += ridge[:, None, None] * np.eye(4, dtype=np.float32)
    change = np.linalg.solve(normal, np.einsum("nip,np->ni", slopes, gaps)[:, :, None])[:, :, 0]
    return _limited(place + np.clip(change, -0.05, 0.05))


def _limited(place: Reals) -> Reals:
    sizes = np.clip(place[:, 1::2], 1 - _STRETCH, 1 + _STRETCH)
    starts = np.clip(place[:, 0::2], -_STRETCH, _STRETCH)
    return np.stack([starts, sizes], axis=2).reshape(-1, 4)


def _reals(values: NDArray[Any]) -> Reals:
    return np.asarray(values, dtype=np.float32)


def _centres(side: int) -> Reals:
    return _reals((np.arange(side) + 0.5) / side)


def _moved(a: Reals, place: Reals) -> tuple[Reals, Reals]:
    """The part of each first photo at `place`, and 1 where it has pixels, 0 where it has none."""
    down, inside_down = _sampled(a, place[:, 0], place[:, 1])
    right, inside_right = _sampled(down.transpose(0, 2, 1), place[:, 2], place[:, 3])
    return right.transpose(0, 2, 1), _reals(inside_down[:, :, None] & inside_right[:, None, :])


def _sampled(a: Reals, start: Reals, size: Reals) -> tuple[Reals, NDArray[np.bool_]]:
    """Rows of each photo at even distances, interpolated linearly; (n, side) whether the photo has them."""
    side = a.shape[1]
    points = (start[:, None] + size[:, None] * _centres(side)) * side - 0.5
    inside = (points >= -0.5) & (points <= side - 0.5)
    points = _reals(np.clip(points, 0, side - 1))
    above = np.minimum(points.astype(np.int64), side - 2)
    weight = (points - above)[:, :, None].astype(np.float32)
    photo = np.arange(len(a))[:, None]
    return a[photo, above] * (1 - weight) + a[photo, above + 1] * weight, inside


def _standard(luma: Reals, inside: Reals) -> Reals:
    """Mean 0 and standard deviation 1 over what is inside; 0 outside."""
    count = inside.sum(axis=(1, 2), keepdims=True) + _TINY
    centred = (luma - (luma * inside).sum(axis=(1, 2), keepdims=True) / count) * inside
    spread = np.sqrt(np.square(centred).sum(axis=(1, 2), keepdims=True) / count)
    return _reals(centred / (spread + _TINY))


def _compared(a: Reals, b: Reals, place: Reals) -> Likeness:
    moved, inside = _moved(a, place)
    inner = _inner(inside)
    fine_a, fine_b = _detail(moved), _detail(b)
    return Likeness(
        whole=_correlation(moved, b, inside),
        detail=_correlation(fine_a, fine_b, inner),
        overlap=inside.mean(axis=(1, 2)),
        contrast=np.minimum(_contrast(fine_a, inner), _contrast(fine_b, inner)),
    )


def _inner(inside: Reals) -> Reals:
    """Where pixels with neighbours on all sides are."""
    return inside[:, 1:-1, 1:-1] * inside[:, :-2, :-2] * inside[:, 2:, 2:]


def _blurred(luma: Reals, width: float) -> Reals:
    """By a Gaussian of that standard deviation, in pixels; what lies outside is like the border."""
    if not width:
        return luma
    reach = int(np.ceil(3 * width))
    weights = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / width))
    weights /= weights.sum()
    for axis in (1, 2):
        padding = [(0, 0), (0, 0), (0, 0)]
        padding[axis] = (reach, reach)
        luma = sliding_window_view(np.pad(luma, padding, "edge"), 2 * reach + 1, axis) @ _reals(weights)
    return luma


def _correlation(a: Reals, b: Reals, inside: Reals) -> Reals:
    product = _standard(a, inside) * _standard(b, inside)
    return _reals(product.sum(axis=(1, 2)) / (inside.sum(axis=(1, 2)) + _TINY))


def _contrast(fine: Reals, inside: Reals) -> Reals:
    return _reals(np.sqrt((np.square(fine) * inside).mean(axis=(1, 2))))


def _detail(luma: Reals) -> Reals:
    """Each inner pixel less the mean of the 3×3 around it: (n, side − 2, side − 2)."""
    rows = luma[:, :-2] + luma[:, 1:-1] + luma[:, 2:]
    around: Reals = (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9
    return luma[:, 1:-1, 1:-1] - around
