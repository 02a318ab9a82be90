"""What log.txt tells of a run that ended before its history was written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sortograph.records import EpochRow

_NUMBER = r"([0-9.]+|nan|inf)"
_EPOCH = re.compile(
    rf"^\S+ \S+ epoch (\d+) of \d+: training loss {_NUMBER}, accuracy {_NUMBER}"
    rf"(?:; validation loss {_NUMBER}, accuracy {_NUMBER})?; {_NUMBER} s",
    re.MULTILINE,
)
_FAILURE = re.compile(r"^sortograph\.errors\.(\w+): (.+)$", re.MULTILINE)
_MOST = 8_000_000  # characters


@dataclass(frozen=True, slots=True)
class RunLog:
    """history: epochs that were over, rounded as the log has them, without rates and gradients
    failure: what ended the run, "" where nothing did; kind: the name of that error
    """

    history: tuple[EpochRow, ...] = ()
    failure: str = ""
    kind: str = ""


def read_log(folder: Path) -> RunLog:
    """The log of a run folder; an empty one where there is none that can be read.

    Of a run that was resumed, the last telling of each epoch counts, and the last failure.
    """
    try:
        with (folder / "log.txt").open(encoding="utf-8", errors="replace") as file:
            text = file.read(_MOST)
    except OSError:
        return RunLog()
    rows = {int(found[0]): _row(found) for found in _EPOCH.findall(text)}
    failures = _FAILURE.findall(text)
    kind, failure = failures[-1] if failures else ("", "")
    return RunLog(tuple(rows[epoch] for epoch in sorted(rows)), failure, kind)


def _row(found: tuple[str, ...]) -> EpochRow:
    epoch, loss, accuracy, validation_loss, validation_accuracy, seconds = found
    return EpochRow(
        epoch=int(epoch),
        train_loss=float(loss),
        train_accuracy=float(accuracy),
        validation_loss=float(validation_loss) if validation_loss else None,
        validation_accuracy=float(validation_accuracy) if validation_accuracy else None,
        learning_rate=0.0,
        seconds=float(seconds),
        photos_per_second=0.0,
    )
