"""`train --log`: figures for TensorBoard and MLflow."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

import sortograph
from sortograph.api import tracking
from sortograph.api.tracking import Tracking
from sortograph.errors import MissingExtra, UsageError
from sortograph.records import EpochDone, EpochRow, Said, silent

ROW = EpochRow(2, 0.5, 0.8, 0.6, None, 1e-3, 1.0, 100.0, {"conv1": 0.25})


class Kept:
    """Stands in for a writer."""

    def __init__(self, folder):
        self.folder, self.figures, self.status = folder, {}, None

    def settings(self, flat):
        self.flat = flat

    def figure(self, name, value, step):
        self.figures[name, step] = value

    def close(self, status):
        self.status = status


@pytest.fixture
def kept(monkeypatch):
    """The writers that were opened, in the place of MLflow's."""
    opened = []

    def make(folder):
        opened.append(Kept(folder))
        return opened[-1]

    monkeypatch.setattr(tracking, "_MLflow", make)
    monkeypatch.setattr(tracking, "find_spec", lambda name: name)
    return opened


def test_epochs_and_the_end_are_written_and_every_event_goes_on(kept, run, tmp_path):
    seen = []
    told = Tracking("mlflow", seen.append)
    told(Said("before anything is known"))
    told.begin(tmp_path, {"name": "cnn", "train": {"epochs": 2}})
    told(EpochDone(ROW, 2, 0.0, True))
    told.end(run)
    (writer,) = kept
    assert writer.flat == {"name": "cnn", "train.epochs": "2"}
    assert writer.figures["train/epoch_loss", 2] == 0.5
    assert writer.figures["gradient_norm/conv1", 2] == 0.25
    assert ("validation/epoch_accuracy", 2) not in writer.figures, "it was not measured"
    last = run.history[-1].epoch
    assert writer.figures["test/accuracy", last] == run.evaluation["test"].metrics["accuracy"].value
    assert writer.status == "FINISHED"
    assert [type(event) for event in seen] == [Said, EpochDone]


def test_a_run_that_failed_is_told_so(kept, tmp_path):
    told = Tracking("mlflow", silent)
    told.begin(tmp_path, {})
    told.end(None)
    assert kept[0].status == "FAILED"


def test_without_a_kind_nothing_is_written(kept, run, tmp_path):
    told = Tracking(None, silent)
    told.begin(tmp_path, {})
    told.end(run)
    assert kept == []


def test_another_kind_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="tensorboard"):
        Tracking("tensorbord", silent)


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setattr(tracking, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtra) as caught:
        sortograph.train("nowhere", log="mlflow")
    assert caught.value.fix == 'pip install "sortograph[track]"'


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="needs the extra [track]: tensorboard")
def test_tensorboard_reads_what_is_written(run, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    told = Tracking("tensorboard", silent)
    told.begin(tmp_path, {"name": "cnn"})
    told(EpochDone(ROW, 2, 0.0, True))
    told.end(run)
    found = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert found.Scalars("train/epoch_loss")[0].value == pytest.approx(0.5)
    assert "test/accuracy" in found.Tags()["scalars"]


@pytest.mark.skipif(find_spec("mlflow") is None, reason="needs the extra [track]: mlflow")
def test_mlflow_reads_what_is_written(run, tmp_path):
    from mlflow.tracking import MlflowClient

    told = Tracking("mlflow", silent)
    told.begin(tmp_path / "runs" / "one", {"name": "cnn"})
    told(EpochDone(ROW, 2, 0.0, True))
    told.end(run)
    client = MlflowClient(f"sqlite:///{(tmp_path / 'runs' / 'mlflow.db').as_posix()}")
    experiment = client.get_experiment_by_name("sortograph")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.data.metrics["train/epoch_loss"] == 0.5
    assert found.data.params["name"] == "cnn"
    assert found.info.status == "FINISHED"
