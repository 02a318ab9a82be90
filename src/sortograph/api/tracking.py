"""`train --log`: the figures of a run as TensorBoard or MLflow shows them, in files on this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from sortograph.errors import MissingExtra, UsageError, nearest
from sortograph.records import EpochDone, EpochRow, Event, Progress, RunRecord

KINDS = ("tensorboard", "mlflow")
_MOST = 500  # characters of a parameter that MLflow takes
_STATUS = {"finished": "FINISHED", "interrupted": "KILLED"}


class Tracking:
    """Hands every event on; what epochs and the finished run have measured is also written for `kind`.

    kind: one of KINDS; None writes nothing
    Raises UsageError for another one, MissingExtra where its package is not installed.
    """

    def __init__(self, kind: str | None, progress: Progress) -> None:
        if kind is not None and kind not in KINDS:
            raise UsageError(
                f"a log of the kind {kind!r}{nearest(kind, KINDS)}",
                expected=" or ".join(KINDS),
                fix="--log tensorboard",
            )
        if kind is not None and find_spec(kind) is None:
            raise MissingExtra.of("track", kind)
        self._kind, self._progress = kind, progress
        self._writer: _Writer | None = None

    def __call__(self, event: Event) -> None:
        if self._writer is not None and isinstance(event, EpochDone):
            for name, value in _of_epoch(event.row):
                self._writer.figure(name, value, event.row.epoch)
        self._progress(event)

    def begin(self, folder: Path, recipe: Mapping[str, Any]) -> None:
        """From now on `folder`/tensorboard is written, or mlflow.db beside the folder."""
        if self._kind == "tensorboard":
            self._writer = _TensorBoard(folder)
        elif self._kind == "mlflow":
            self._writer = _MLflow(folder)
        if self._writer is not None:
            self._writer.settings(dict(_flat(recipe)))

    def end(self, record: RunRecord | None) -> None:
        """What the run has measured in the end; None for one that failed."""
        if self._writer is None:
            return
        step = record.history[-1].epoch if record is not None and record.history else 0
        for split, result in ({} if record is None else record.evaluation).items():
            for name, estimate in result.metrics.items():
                self._writer.figure(f"{split}/{name}", estimate.value, step)
        self._writer.close("FAILED" if record is None else _STATUS.get(record.status, "FAILED"))


class _Writer(Protocol):
    def settings(self, flat: Mapping[str, str]) -> None: ...

    def figure(self, name: str, value: float, step: int) -> None: ...

    def close(self, status: str) -> None: ...


class _TensorBoard:
    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder / "tensorboard"))

    def settings(self, flat: Mapping[str, str]) -> None:
        self._writer.add_text("recipe", "\n".join(f"    {name} = {value}" for name, value in flat.items()))

    def figure(self, name: str, value: float, step: int) -> None:
        self._writer.add_scalar(name, value, step)

    def close(self, status: str) -> None:
        self._writer.add_text("status", status.lower())
        self._writer.close()


class _MLflow:
    """Its client alone: nothing global is set, and nothing is sent anywhere."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("DO_NOT_TRACK", "true")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        from mlflow.tracking import MlflowClient

        for chatty in ("mlflow", "alembic"):  # which their import has set up
            logging.getLogger(chatty).setLevel(logging.WARNING)

        store = folder.resolve().parent / "mlflow.db"
        self._client: Any = MlflowClient(f"sqlite:///{store.as_posix()}")
        found = self._client.get_experiment_by_name("sortograph")
        place = (folder.resolve().parent / "mlartifacts").as_uri()
        experiment = found.experiment_id if found else self._client.create_experiment("sortograph", place)
        self._run = self._client.create_run(experiment, run_name=folder.resolve().name).info.run_id

    def settings(self, flat: Mapping[str, str]) -> None:
        for name, value in flat.items():
            self._client.log_param(self._run, name, value[:_MOST])

    def figure(self, name: str, value: float, step: int) -> None:
        self._client.log_metric(self._run, name, value, step=step)

    def close(self, status: str) -> None:
        self._client.set_terminated(self._run, status=status)


def _of_epoch(row: EpochRow) -> Iterator[tuple[str, float]]:
    found = {
        "train/epoch_loss": row.train_loss,
        "train/epoch_accuracy": row.train_accuracy,
        "validation/epoch_loss": row.validation_loss,
        "validation/epoch_accuracy": row.validation_accuracy,
        "learning_rate": row.learning_rate,
        "photos_per_second": row.photos_per_second,
    }
    found |= {f"gradient_norm/{layer}": norm for layer, norm in row.gradient_norms.items()}
    return ((name, value) for name, value in found.items() if value is not None)


def _flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """
    >>> list(_flat({"name": "cnn", "train": {"epochs": 5}}))
    [('name', 'cnn'), ('train.epochs', '5')]
    """
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)
