"""The sheets of photos in a report, all drawn from answers that are known already but for the heatmaps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sortograph.api.judging import Answered, Pixels
from sortograph.bundle.runtime import Answers, Run
from sortograph.cores import cores
from sortograph.explaining.neighbours import nearest
from sortograph.explaining.occlusion import LEAST_CALLS, MOST_CALLS, Heat, occlusion
from sortograph.records import DatasetIndex, PredictionTable, Progress, Said, silent
from sortograph.reporting.explained import (
    Lookalikes,
    confused_sheet,
    doubtful,
    heatmap_sheet,
    lookalike_sheet,
)
from sortograph.reporting.galleries import hit_sheet, mistake_sheet, prediction_sheet

HEATMAP_SECONDS = 2.2  # about as long as the other pictures take
_HEATMAPS, _LOOKALIKES, _NEAREST = 8, 5, 4
_TIMED = 4  # photos at the least: one alone would keep one core busy, and leave the others idle
_CALLS = (MOST_CALLS, 73, 36, LEAST_CALLS)
Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shown:
    """What the sheets are drawn of.

    found        split → answers, those to training photos among them; the last one is shown
    run          the model: photos uint8 (N, H, W, 3) → answers
    temperature  what the logits are divided by
    seconds      that heatmaps may take; below 0 for none
    """

    index: DatasetIndex
    found: Mapping[str, Answered]
    pixels: Pixels
    run: Run
    seed: int
    temperature: float = 1.0
    seconds: float = HEATMAP_SECONDS
    progress: Progress = silent

    @property
    def table(self) -> PredictionTable | None:
        """The answers that are shown: to the photos that judge, or the next best. None without any."""
        held_out = [split for split in self.found if split != "train"] or list(self.found)
        return self.found[held_out[-1]].table if held_out else None


def photo_sheets(shown: Shown, others: Callable[[], dict[str, bytes]] = dict) -> dict[str, bytes]:
    """PNG bytes by name; b"" where there is nothing to show. Where nothing was judged, only the others.

    others: pictures that need no model, drawn while heatmaps are computed

    Another thread asks the model then, and for pixels, and tells of progress.
    """
    table = shown.table
    if table is None:
        return others()
    what, warm = (shown.index, table, shown.pixels), shown.temperature
    stopped = threading.Event()
    with ThreadPoolExecutor(1) as beside:  # ONNX Runtime leaves the interpreter to what is drawn
        heat = beside.submit(_heatmaps, replace(shown, run=_until(stopped, shown.run)), table)
        try:
            return {
                **others(),
                "predictions": prediction_sheet(*what, shown.seed, temperature=warm),
                "mistakes": mistake_sheet(*what, temperature=warm),
                "hits": hit_sheet(*what, temperature=warm),
                "confused": confused_sheet(*what, temperature=warm),
                "lookalikes": lookalike_sheet(*what, _lookalikes(shown, table), temperature=warm),
                "heatmaps": heatmap_sheet(*what, heat.result(), temperature=warm),
            }
        finally:  # Ctrl-C and errors wait for one call, not for all heatmaps
            stopped.set()


def _until(stopped: threading.Event, run: Run) -> Run:
    def asked(photos: NDArray[np.uint8]) -> Answers:
        if stopped.is_set():
            raise CancelledError
        return run(photos)

    return asked


def _lookalikes(shown: Shown, table: PredictionTable) -> Lookalikes:
    """None of training photos, which are most like themselves."""
    places = doubtful(shown.index, table, _LOOKALIKES, shown.temperature)
    train = shown.found.get("train")
    if train is None or table.split == "train":
        none = np.zeros((0, 1), dtype=np.int64)
        return Lookalikes(places[:0], none, none.astype(np.float32))
    rows, cosines = nearest(shown.found[table.split].embeddings[places], train.embeddings, _NEAREST)
    return Lookalikes(places, train.table.rows[rows], cosines)


def _heatmaps(shown: Shown, table: PredictionTable) -> tuple[Places, Sequence[Heat]]:
    """Of as many photos and as closely as the time allows."""
    places = doubtful(shown.index, table, _HEATMAPS, shown.temperature)
    if not len(places):
        return places, ()
    photos, began = shown.pixels(table.rows[places]), time.monotonic()
    calls, cost = _plan(shown, photos) if shown.seconds > 0 else (LEAST_CALLS, float("inf"))
    found: list[Heat] = []
    for photo, label in zip(photos, table.predicted()[places].tolist(), strict=True):
        if time.monotonic() - began + cost > shown.seconds:
            break
        start = time.monotonic()
        found.append(occlusion(photo, lambda some: shown.run(some).logits, label, calls=calls).heatmap)
        cost = time.monotonic() - start
    if not found:
        shown.progress(Said("no heatmaps drawn: no time is left for them; sortograph explain draws them"))
    return places[: len(found)], found


def _plan(shown: Shown, photos: NDArray[np.uint8]) -> tuple[int, float]:
    """Calls for each photo, and the seconds that they take by a measurement."""
    few = np.take(photos, range(max(_TIMED, cores())), axis=0, mode="wrap")
    each = min(_timed(shown, few) for _ in range(2)) / len(few)  # the first time may take longer
    # Planned for half of the time: with all of it, beside other pictures, two of eight were often not drawn.
    fits = [calls for calls in _CALLS if each * (calls + 1) * len(photos) <= shown.seconds / 2]
    calls = fits[0] if fits else LEAST_CALLS
    return calls, each * (calls + 1)


def _timed(shown: Shown, photos: NDArray[np.uint8]) -> float:
    start = time.monotonic()
    shown.run(photos)
    return time.monotonic() - start
