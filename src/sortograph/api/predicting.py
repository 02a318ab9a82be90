"""predict: photos → answers, and pictures of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sortograph.classify import Names, find_photos, load
from sortograph.cores import cores
from sortograph.errors import PhotoError
from sortograph.files import make_folder, write_atomic
from sortograph.images.preprocess import prepare
from sortograph.images.sources import read_file
from sortograph.records import Prediction, PreprocessSpec, Progress, silent

if TYPE_CHECKING:
    from sortograph.classify import Classifier
    from sortograph.classify.tally import Tally

__all__ = ["GRID_PHOTOS", "PAGE_PHOTOS", "load", "predict", "prediction_grid", "prediction_page"]

GRID_PHOTOS = 200
PAGE_PHOTOS = 2000
_TILE = PreprocessSpec(size=(160, 160), mode="pad")
_Pictured = tuple[Prediction, NDArray[np.uint8] | None]


def predict(
    model: str | os.PathLike[str],
    inputs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    top_k: int = 5,
    max_error: float | None = None,
    threads: int | None = None,
    isolate: bool = False,
    progress: Progress = silent,
) -> Iterator[Prediction]:
    """The answers for photos, and for folders, archives and patterns of photos, one after the other.

    model: a model.onnx or the run folder that holds one; `load` keeps it open for several calls
    max_error: as `load` takes it: less sure answers are withheld
    threads: how many photos are read and answered at once; None: one for each core
    isolate: as `predict_many` takes it: files are read in processes of their own
    progress: is told in the end how many files of the folders were no photos

    Raises BundleError, DataError for inputs that do not exist. Unreadable photos give a Prediction with
    `error`, as do names on standard input ("-" among the inputs) of files that do not exist.
    """

    given = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    classifier, names = load(model, threads=1, max_error=max_error), Names()
    photos = find_photos(given, names=names, progress=progress)
    most = cores() if threads is None else threads
    return classifier.predict_many(photos, top_k=top_k, threads=most, isolate=isolate, idle=names.idle)


def prediction_grid(
    predictions: Iterable[Prediction], file: str | os.PathLike[str], *, isolate: bool = False
) -> Path | None:
    """Draw the first 200 photos that have an answer with it into a PNG; None, and no file, without any.

    Raises UsageError for another suffix, StorageError where it would write over anything but such a grid.
    """
    from sortograph.api.writing import picture_file
    from sortograph.reporting import Tile, draw_sheet

    path = picture_file(Path(file))
    labelled = (answer for answer in predictions if answer.label is not None)
    drawn = (pair for pair in _pictured(labelled, isolate) if pair[1] is not None)
    tiles = [
        Tile(pixels, _caption(answer)) for answer, pixels in islice(drawn, GRID_PHOTOS) if pixels is not None
    ]
    sheet = draw_sheet(tiles, tile=160)
    if not sheet:
        return None
    make_folder(path.parent)
    write_atomic(path, sheet)
    return path


def prediction_page(
    predictions: Iterable[Prediction],
    file: str | os.PathLike[str],
    classifier: Classifier,
    *,
    tally: Tally,
    isolate: bool = False,
) -> Path:
    """Write an HTML page of the first 2,000 photos with their answers.

    tally: counts of all answers, also of those beyond the first
    Raises UsageError for another suffix, StorageError where it would write over anything but a page of ours.
    """
    from sortograph.api.writing import page_file
    from sortograph.reporting.answers_page import AnswersPage, write_answers_page

    path, shown = page_file(Path(file)), list(islice(predictions, PAGE_PHOTOS))
    manifest = classifier.manifest
    page = AnswersPage(
        model=f"{manifest.recipe or 'a model'}, {classifier.bundle.sha256[:12]}",
        counts={name: tally.labels(name) for name in classifier.classes},
        unsure=tally.unsure,
        failed=tally.failed,
        total=tally.total,
        shown=len(shown),
    )
    return write_answers_page(page, _pictured(shown, isolate), path)


def _caption(answer: Prediction) -> str:
    return f"{answer.label} {100 * (answer.probability or 0.0):.0f} %"


def _pictured(answers: Iterable[Prediction], isolate: bool) -> Iterator[_Pictured]:
    """Answers with a small picture of their photo, or None; read as the photos were."""
    from sortograph.classify.stream import Pace, ordered

    if not isolate:
        yield from ordered(
            iter(answers), lambda batch: [(each, _picture(each)) for each in batch], Pace((4,))
        )
        return
    from sortograph.classify.isolation import read_apart

    known = list(answers)
    for answer, (_, found) in zip(
        known, read_apart([each.path for each in known], _TILE, cores()), strict=True
    ):
        yield answer, None if isinstance(found, str) else found


def _picture(answer: Prediction) -> NDArray[np.uint8] | None:
    if answer.error is not None:
        return None
    try:
        return prepare(read_file(Path(answer.path)), _TILE)
    except PhotoError:
        return None
