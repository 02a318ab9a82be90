"""predict: photos → answers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sortograph.classify import find_photos, load
from sortograph.errors import PhotoError
from sortograph.files import make_folder, write_atomic
from sortograph.images.inspect import read_bytes
from sortograph.images.preprocess import prepare
from sortograph.records import Prediction, PreprocessSpec

if TYPE_CHECKING:
    from sortograph.reporting import Tile

__all__ = ["load", "predict", "prediction_grid"]

_TILE = PreprocessSpec(size=(160, 160), mode="pad")
_MOST_TILES = 200


def predict(
    model: str | os.PathLike[str],
    inputs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    top_k: int = 5,
) -> Iterator[Prediction]:
    """The answers for photos and for folders of photos, one after the other.

    model: a model.onnx or the run folder that holds one; `load` keeps it open for several calls
    Raises BundleError, DataError for inputs that do not exist. Unreadable photos give a Prediction with
    `error`.
    """
    given = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    classifier, photos = load(model), find_photos(given)
    return classifier.predict_many(photos, top_k=top_k)


def prediction_grid(predictions: Sequence[Prediction], file: str | os.PathLike[str]) -> Path:
    """Draw the first 200 photos with what was predicted into a PNG.

    Raises UsageError for another suffix, StorageError where it would write over anything but a PNG.
    """
    from sortograph.api.photos import picture_file
    from sortograph.reporting import draw_sheet

    tiles = [tile for answer in predictions[:_MOST_TILES] if (tile := _tile(answer)) is not None]
    path = picture_file(Path(file))
    make_folder(path.parent)
    write_atomic(path, draw_sheet(tiles, tile=160))
    return path


def _tile(answer: Prediction) -> Tile | None:
    """None for what could not be read."""
    from sortograph.reporting import Tile

    if answer.label is None or answer.probability is None:
        return None
    try:
        pixels = prepare(read_bytes(Path(answer.path)), _TILE)
    except PhotoError:
        return None
    return Tile(pixels, f"{answer.label} {100 * answer.probability:.0f} %")
