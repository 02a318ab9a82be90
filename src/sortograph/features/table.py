"""Which photos of an index have no embedding yet, and how they are read again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from sortograph.errors import PhotoError, RunError, listed
from sortograph.features.intake import Pixels, Read
from sortograph.images.crew import shared_crew
from sortograph.images.inspect import hash_of, read_photo
from sortograph.images.photo import Photo
from sortograph.images.preprocess import resize
from sortograph.records import DatasetIndex, PhotoFacts, PreprocessSpec

Rows = NDArray[np.int64]
Sizes = Sequence[tuple[PreprocessSpec, float]]
_NAMED = 3
_CHANGED = "changed since it was indexed"


def lacking(index: DatasetIndex, rows: Rows, has: Callable[[str], bool]) -> list[int]:
    """Of these rows those whose content nobody has, one for each content, in their order."""
    first: dict[str, int] = {}
    for row in rows:
        first.setdefault(index.sha256[row], int(row))
    return [row for content, row in first.items() if not has(content)]


def facts_of(index: DatasetIndex, row: int) -> PhotoFacts:
    """What the index knows of a photo."""
    width, height = map(int, index.sizes[row])
    return PhotoFacts(index.sha256[row], width, height)


def readers(index: DatasetIndex, rows: Sequence[int], sizes: Sizes) -> Iterator[Read]:
    """For each row what decodes its photo in this process, and refuses one that is not as it was indexed.

    No process of its own is needed: only content is decoded that was decoded before without harm.
    """
    for row in rows:
        yield partial(_again, index.root, index.paths[row], index.sha256[row], sizes)


def read_by_others(
    index: DatasetIndex, rows: Sequence[int], sizes: Sizes
) -> Iterator[Sequence[Pixels] | Read]:
    """As `readers`, but for photos that were read by other processes: their pixels, or what refuses them."""
    paths = (index.paths[row] for row in rows)
    readings = shared_crew().read(index.root, paths, sizes, look=False)
    for row, reading in zip(rows, readings, strict=True):
        if reading.facts is None:
            yield partial(_refuse, reading.reason)
        else:
            same = reading.facts.sha256 == index.sha256[row]
            yield reading.pixels if same else partial(_refuse, _CHANGED)


def _again(root: Path, path: str, sha256: str, sizes: Sizes) -> tuple[Pixels, ...]:
    data = read_photo(root, path)
    if hash_of(data) != sha256:
        _refuse(_CHANGED)
    photo = Photo(data)
    return tuple(
        np.asarray(resize(photo.at(spec.decoded(factor)).image, spec, factor)) for spec, factor in sizes
    )


def _refuse(reason: str) -> NoReturn:
    raise PhotoError(reason)


def unusable(bad: Mapping[str, str]) -> RunError:
    """The error for photos by path, each with the reason."""
    count, reasons = len(bad), ", ".join(dict.fromkeys(bad.values()))
    return RunError(
        f"{'a photo' if count == 1 else f'{count} photos'} cannot be used any more ({reasons})",
        where=listed(bad, _NAMED),
        expected="photos that stay as they are while a model is trained",
        fix="train again",
    )
