"""Which photos of an index have no embedding yet, and how they are read again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sortograph.errors import RunError, listed
from sortograph.images.crew import Reading, shared_crew
from sortograph.records import DatasetIndex, PhotoFacts, PreprocessSpec

Rows = NDArray[np.int64]
_NAMED = 3


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


def read_again(
    index: DatasetIndex, rows: Sequence[int], sizes: Sequence[tuple[PreprocessSpec, float]]
) -> Iterator[Reading]:
    """Photos decoded again, in the order of the rows; refused are those that are not as they were indexed."""
    paths = (index.paths[row] for row in rows)
    readings = shared_crew().read(index.root, paths, sizes, look=False)
    for row, reading in zip(rows, readings, strict=True):
        same = reading.facts is None or reading.facts.sha256 == index.sha256[row]
        yield reading if same else Reading(None, "changed since it was indexed", ())


def unusable(bad: Mapping[str, str]) -> RunError:
    """The error for photos by path, each with the reason."""
    count, reasons = len(bad), ", ".join(dict.fromkeys(bad.values()))
    return RunError(
        f"{'a photo' if count == 1 else f'{count} photos'} cannot be used any more ({reasons})",
        where=listed(bad, _NAMED),
        expected="photos that stay as they are while a model is trained",
        fix="train again",
    )
