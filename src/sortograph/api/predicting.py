"""predict: photos → answers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from sortograph.classify import find_photos, load
from sortograph.errors import PhotoError
from sortograph.files import make_folder, write_atomic
from sortograph.images.inspect import read_bytes
from sortograph.images.preprocess import prepare
from sortograph.records import Prediction, PreprocessSpec, Progress, silent

if TYPE_CHECKING:
    from sortograph.reporting import Tile

__all__ = ["GRID_PHOTOS", "load", "predict", "prediction_grid"]

GRID_PHOTOS = 200
_TILE = PreprocessSpec(size=(160, 160), mode="pad")


def predict(
    model: str | os.PathLike[str],
    inputs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    top_k: int = 5,
    max_error: float | None = None,
    progress: Progress = silent,
) -> Iterator[Prediction]:
    """The answers for photos and for folders of photos, one after the other.

    model: a model.onnx or the run folder that holds one; `load` keeps it open for several calls
    max_error: as `load` takes it: less sure answers are withheld
    progress: is told in the end how many files of the folders were no photos

    Raises BundleError, DataError for inputs that do not exist. Unreadable photos give a Prediction with
    `error`, as do names on standard input ("-" among the inputs) of files that do not exist.
    """
    given = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    classifier, photos = load(model, max_error=max_error), find_photos(given, progress=progress)
    return classifier.predict_many(photos, top_k=top_k)


def prediction_grid(predictions: Iterable[Prediction], file: str | os.PathLike[str]) -> Path | None:
    """Draw the first 200 photos that have an answer with it into a PNG; None, and no file, without any.

    Raises UsageError for another suffix, StorageError where it would write over anything but such a grid.
    """
    from sortograph.api.writing import picture_file
    from sortograph.reporting import draw_sheet

    path = picture_file(Path(file))
    drawable = (tile for answer in predictions if (tile := _tile(answer)) is not None)
    sheet = draw_sheet(list(islice(drawable, GRID_PHOTOS)), tile=160)
    if not sheet:
        return None
    make_folder(path.parent)
    write_atomic(path, sheet)
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
