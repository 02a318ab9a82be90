"""log.txt: what a run said while it went on, kept for whoever asks later."""

from __future__ import annotations

import contextlib
import time
import traceback
from pathlib import Path

from sortograph.errors import StorageError
from sortograph.files import storage_errors
from sortograph.records import EpochDone, Event, Progress, Said


class Log:
    """Hands every event on; what was said, and each epoch, also becomes a line of a file.

    What is said before `begin` waits for it.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._file: Path | None = None
        self._waiting: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Said):
            self._write(f"warning: {event.text}" if event.warning else event.text)
        elif isinstance(event, EpochDone):
            self._write(_line(event))
        self._progress(event)

    def begin(self, file: Path) -> None:
        """Lines are added to `file` from now on. Raises StorageError."""
        self._file = file
        waiting, self._waiting = self._waiting, []
        for line in waiting:
            self._write(line)

    def failed(self, error: BaseException) -> None:
        """Its traceback, unless it is just this file that cannot be written."""
        with contextlib.suppress(StorageError):
            self._write("".join(traceback.format_exception(error)).rstrip())

    def _write(self, text: str) -> None:
        if self._file is None:
            self._waiting.append(text)
            return
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        with storage_errors(self._file), self._file.open("a", encoding="utf-8", errors="replace") as file:
            file.write(f"{stamp} {text}\n")


def _line(event: EpochDone) -> str:
    row = event.row
    figures = f"training loss {row.train_loss:.4f}, accuracy {row.train_accuracy:.4f}"
    if row.validation_loss is not None:
        figures += f"; validation loss {row.validation_loss:.4f}, accuracy {row.validation_accuracy:.4f}"
    best = ", best so far" if event.best else ""
    return f"epoch {row.epoch} of {event.epochs}: {figures}; {row.seconds:.1f} s{best}"
