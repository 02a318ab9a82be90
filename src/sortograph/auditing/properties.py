"""Facts of photo files, sorted into bins: what a class could be guessed from without looking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sortograph.auditing.kin import Rows
from sortograph.records import DatasetIndex
from sortograph.records.looks import ANIMATED, CMYK, FORMATS, PALETTE, PROFILE, TRANSPARENT, TURNED, WIDE

_ODDITIES = {
    TURNED: "turned",
    TRANSPARENT: "transparent",
    CMYK: "CMYK",
    WIDE: "wide",
    PROFILE: "with a colour profile",
    PALETTE: "with a palette",
    ANIMATED: "animated",
}
_FRAME = 2.0  # standard deviation of the border's colour: the noise that JPEG adds to an even frame
_SHADES = ("a dark frame", "a frame of middle brightness", "a light frame")
_FEWEST, _MOST = 16, 64  # bins


@dataclass(frozen=True, slots=True)
class Property:
    """One fact of n photos: the bin of each, int64 (n,), and words for each bin.

    may_be_true  it may belong to what the photos show
    """

    name: str
    bins: Rows
    words: tuple[str, ...]
    may_be_true: bool = False


def properties(index: DatasetIndex, rows: Rows, classes: int) -> tuple[Property, ...]:
    """Of these rows, which must have looks; bins enough for that many classes."""
    looks, sizes = index.looks[rows], index.sizes[rows].astype(np.float64)
    bins = min(_MOST, max(_FEWEST, 2 * classes))
    shade = 1 + looks["border"].mean(axis=1).astype(np.int64) * len(_SHADES) // 256
    frame = np.where(looks["border_spread"] < _FRAME, shade, 0)
    return (
        _kinds("the file format", looks["format"], FORMATS.__getitem__),
        _kinds("the kind of file", looks["oddities"], _oddities),
        _steps("the file size", looks["bytes"] / 1024, bins, "kB"),
        _steps("the number of pixels", sizes.prod(axis=1) / 1e6, bins, "megapixels"),
        _steps("the shape of the picture", sizes[:, 0] / np.maximum(1, sizes[:, 1]), bins, "width/height"),
        _kinds("a frame of one colour", frame, ("no frame", *_SHADES).__getitem__),
        _kinds("the colour of the border", _colour(looks["border"]), _rgb, may_be_true=True),
        _steps("the brightness", looks["brightness"], bins, "of 255", may_be_true=True),
    )


def _kinds(
    name: str, values: NDArray[np.generic], word: Callable[[int], str], *, may_be_true: bool = False
) -> Property:
    kinds, bins = np.unique(values, return_inverse=True)
    return Property(name, bins.astype(np.int64), tuple(word(int(kind)) for kind in kinds), may_be_true)


def _steps(
    name: str, values: NDArray[np.generic], count: int, unit: str, *, may_be_true: bool = False
) -> Property:
    """Bins of about equal numbers of photos, fewer where many photos have one value."""
    real = values.astype(np.float64)
    inner = np.quantile(real, np.linspace(0, 1, count + 1)[1:-1], method="inverted_cdf")
    _, bins = np.unique(np.searchsorted(np.unique(inner), real, side="right"), return_inverse=True)
    words = tuple(
        f"{low:.3g}–{high:.3g} {unit}" if low < high else f"{low:.3g} {unit}"
        for low, high in _ends(real, bins)
    )
    return Property(name, bins.astype(np.int64), words, may_be_true)


def _ends(values: NDArray[np.float64], bins: Rows) -> Iterator[tuple[float, float]]:
    """Least and greatest value of each bin."""
    order = np.lexsort((values, bins))
    first = np.flatnonzero(np.diff(bins[order], prepend=-1))
    last = np.append(first[1:], len(order)) - 1
    return zip(values[order[first]].tolist(), values[order[last]].tolist(), strict=True)


def _colour(border: NDArray[np.uint8]) -> Rows:
    """64 colours: four steps each of red, green and blue."""
    steps = (border >> 6).astype(np.int64)
    colour: Rows = steps[:, 0] * 16 + steps[:, 1] * 4 + steps[:, 2]
    return colour


def _rgb(colour: int) -> str:
    return "about rgb({}, {}, {})".format(*(64 * (colour >> shift & 3) + 32 for shift in (4, 2, 0)))


def _oddities(bits: int) -> str:
    return ", ".join(word for bit, word in _ODDITIES.items() if bits & bit) or "plain"
