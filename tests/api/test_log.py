"""log.txt: what was said, each epoch, and why a run failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sortograph.api.log import Log
from sortograph.errors import GateError, StorageError
from sortograph.records import EpochDone, EpochRow, Event, Said, Step, silent


def epoch(number: int, validation_loss: float | None = 0.5, *, best: bool = False) -> EpochDone:
    accuracy = None if validation_loss is None else 0.75
    row = EpochRow(number, 0.25, 0.5, validation_loss, accuracy, 1e-3, 2.0, 100.0)
    return EpochDone(row, 3, 1.0, best)


def test_every_event_goes_on_and_steps_are_not_written(tmp_path: Path) -> None:
    seen: list[Event] = []
    log = Log(seen.append)
    log.begin(tmp_path / "log.txt")
    events = [Said("hello"), Step("reading", 1, 2), epoch(1)]
    for event in events:
        log(event)
    assert seen == events
    assert "reading" not in (tmp_path / "log.txt").read_text(encoding="utf-8")


def test_what_is_said_before_the_folder_exists_comes_first(tmp_path: Path) -> None:
    log = Log(silent)
    log(Said("two photos are left out", warning=True))
    log.begin(tmp_path / "log.txt")
    log(epoch(1, best=True))
    first, second = (tmp_path / "log.txt").read_text(encoding="utf-8").splitlines()
    assert first.endswith("warning: two photos are left out")
    assert "epoch 1 of 3: training loss 0.2500, accuracy 0.5000; validation loss 0.5000" in second
    assert second.endswith("2.0 s, best so far")


def test_an_epoch_without_validation_photos(tmp_path: Path) -> None:
    log = Log(silent)
    log.begin(tmp_path / "log.txt")
    log(epoch(2, None))
    assert "validation" not in (tmp_path / "log.txt").read_text(encoding="utf-8")


def test_a_failure_leaves_its_traceback(tmp_path: Path) -> None:
    log = Log(silent)
    log.begin(tmp_path / "log.txt")
    log.failed(GateError("the loss is nan"))
    text = (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert "GateError: the loss is nan" in text


def test_a_log_that_cannot_be_written_hides_no_failure(tmp_path: Path) -> None:
    log = Log(silent)
    log.begin(tmp_path / "nowhere" / "log.txt")
    log.failed(GateError("the loss is nan"))
    with pytest.raises(StorageError):
        log(Said("hello"))


def test_names_that_are_no_text_are_written(tmp_path: Path) -> None:
    log = Log(silent)
    log.begin(tmp_path / "log.txt")
    log(Said("left out: caf\udce9.jpg"))
    assert "left out: caf?.jpg" in (tmp_path / "log.txt").read_text(encoding="utf-8")
