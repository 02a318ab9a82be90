"""Ctrl-C during training, and going on as if nothing had happened."""

from __future__ import annotations

import dataclasses
import shutil
import signal
import threading

import pytest
from PIL import Image

import sortograph
from sortograph import runs
from sortograph.bundle.runtime import open_bundle
from sortograph.errors import Interrupted, RunError, UsageError
from sortograph.records import EpochDone, Said, Step

WEIGHTS = "weights.safetensors"
# All that a checkpoint has to bring back: running statistics, moments, dropout, augmentation, the best.
FULL = ("train.epochs=3", "model.batch_norm=true", "model.dense_dropout=0.2", "augment.mixup=0.2")


def after_epoch(number):
    return lambda event: isinstance(event, EpochDone) and event.row.epoch == number


def within_epoch(number):
    return lambda event: isinstance(event, Step) and event.task.startswith(f"epoch {number} ")


@pytest.fixture(scope="module")
def whole(train, photos, cache, tmp_path_factory):
    """The run that nobody interrupts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SORTOGRAPH_CACHE", str(cache))
        patch.setattr("sortograph.api.reviewing.draw_report", lambda *_: None)
        return train(photos, tmp_path_factory.mktemp("runs") / "run", *FULL)


@pytest.fixture
def every_step(monkeypatch):
    """A Step event for each batch, instead of five a second."""
    monkeypatch.setattr("sortograph.training.loop._TOLD_EVERY", 0.0)


@pytest.fixture
def interrupted(train, photos, stop, tmp_path, bare):
    """Stopped after the first of three epochs."""
    return train(photos, tmp_path / "run", *FULL, progress=stop(after_epoch(1)))


def test_the_test_photos_judge_once(interrupted, photos):
    assert set(interrupted.evaluation) == {"train", "validation"}
    assert set(sortograph.train(photos, resume=interrupted.folder).evaluation) == {
        "train",
        "validation",
        "test",
    }


def test_the_time_of_all_sessions_counts(interrupted, photos):
    before = runs.read_run(interrupted.folder)
    runs.write_run(dataclasses.replace(before, seconds=1000.0))
    assert sortograph.train(photos, resume=interrupted.folder).seconds > 1000


def test_other_circumstances_are_told(interrupted, photos, monkeypatch):
    said = []
    monkeypatch.setattr("torch.get_num_threads", lambda: 77)
    sortograph.train(photos, resume=interrupted.folder, progress=said.append)
    warnings = [event.text for event in said if isinstance(event, Said) and event.warning]
    assert any("threads was" in text and "is 77" in text for text in warnings)


def test_stopped_when_training_is_over(train, photos, whole, tmp_path, bare, monkeypatch):
    """While the model is judged and written, Ctrl-C stops at once; --resume does the rest."""

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("sortograph.api.judging.judge_and_bundle", interrupt)
        with pytest.raises(Interrupted, match="--resume"):
            train(photos, tmp_path / "run", *FULL)
    assert runs.read_run(tmp_path / "run").status == "interrupted"
    record = sortograph.train(photos, resume=tmp_path / "run")
    assert record.status == "finished"
    assert (record.folder / WEIGHTS).read_bytes() == (whole.folder / WEIGHTS).read_bytes()


def untimed(history):
    skipped = ("seconds", "photos_per_second")
    return [
        {name: getattr(row, name) for name in row.__dataclass_fields__ if name not in skipped}
        for row in history
    ]


@pytest.mark.parametrize(
    ("when", "epochs"),
    [(within_epoch(1), 0), (after_epoch(1), 1), (within_epoch(2), 1), (within_epoch(3), 2)],
    ids=["within the first epoch", "after it", "within the second", "within the last"],
)
def test_stopped_and_resumed_is_to_the_byte_as_never_stopped(
    whole, train, photos, stop, tmp_path, bare, every_step, when, epochs
):
    pressed = stop(when)
    half = train(photos, tmp_path / "run", *FULL, progress=pressed)
    assert pressed.pressed
    assert (half.status, len(half.history)) == ("interrupted", epochs)
    same = (half.folder / WEIGHTS).read_bytes() == (whole.folder / WEIGHTS).read_bytes()
    assert same == (whole.best_epoch <= epochs), "only a best epoch from before the stop is there already"

    done = train(photos, None, resume=half.folder)
    assert (done.status, done.folder, done.recipe) == ("finished", half.folder, whole.recipe)
    assert (done.folder / WEIGHTS).read_bytes() == (whole.folder / WEIGHTS).read_bytes()
    assert untimed(done.history) == untimed(whole.history)
    assert done.best_epoch == whole.best_epoch
    measured = {split: result.to_json() for split, result in done.evaluation.items()}
    assert measured == {split: result.to_json() for split, result in whole.evaluation.items()}
    assert (done.folder / "predictions.csv").read_bytes() == (whole.folder / "predictions.csv").read_bytes()
    assert not (done.folder / "checkpoints").exists()


def test_the_best_weights_from_before_the_stop_are_kept(train, photos, stop, tmp_path, bare, monkeypatch):
    monkeypatch.setattr("sortograph.training.loop.best_epoch", lambda train, history: 1 if history else None)
    never = train(photos, tmp_path / "never", *FULL)
    half = train(photos, tmp_path / "half", *FULL, progress=stop(after_epoch(2)))
    assert (half.status, half.best_epoch) == ("interrupted", 1)
    done = train(photos, None, resume=half.folder)
    assert (done.status, done.best_epoch, len(done.history)) == ("finished", 1, 3)
    assert (done.folder / WEIGHTS).read_bytes() == (never.folder / WEIGHTS).read_bytes()


def test_an_interrupted_run_can_be_used_and_says_what_it_is(interrupted, photos):
    read = runs.read_run(interrupted.folder)
    assert (read.status, read.best_epoch) == ("interrupted", 1)
    assert list((interrupted.folder / "checkpoints").glob("*.safetensors"))
    assert open_bundle(interrupted.bundle).replay() == 0
    answer = sortograph.load(interrupted.folder).predict(photos / "red" / "0.png")
    assert answer.label in ("red", "green", "blue")
    assert read.evaluation["validation"].n == interrupted.evaluation["validation"].n
    assert not (interrupted.folder / ".lock").exists()


def test_an_interrupted_run_has_a_report(train, photos, stop, tmp_path, every_step):
    record = train(photos, tmp_path / "run", progress=stop(within_epoch(1)))
    assert (record.status, record.history) == ("interrupted", ())
    page = record.report.read_text(encoding="utf-8")
    assert "interrupted" in page.casefold()
    assert not (record.folder / "plots" / "curves.png").exists(), "there is no epoch to draw"


def test_ctrl_c_after_the_last_epoch_finishes(train, photos, stop, tmp_path, bare):
    pressed = stop(after_epoch(2))
    record = train(photos, tmp_path / "run", progress=pressed)
    assert pressed.pressed
    assert record.status == "finished"


def test_the_second_ctrl_c_stops_at_once(train, photos, tmp_path, bare, every_step):
    presses = []

    def press_twice(event):
        if within_epoch(1)(event):
            for _ in range(2):
                presses.append(event)
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match=f"--resume {tmp_path / 'run'}"):
        train(photos, tmp_path / "run", progress=press_twice)
    assert len(presses) == 2
    assert runs.read_run(tmp_path / "run").status == "interrupted"
    assert not (tmp_path / "run" / ".lock").exists()


def test_ctrl_c_works_as_before_once_training_is_over(train, photos, stop, tmp_path, bare):
    before = signal.getsignal(signal.SIGINT)
    train(photos, tmp_path / "run", progress=stop(after_epoch(1)))
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_trains_without_touching_signals(train, photos, tmp_path, bare):
    before, records = signal.getsignal(signal.SIGINT), []
    thread = threading.Thread(target=lambda: records.append(train(photos, tmp_path / "run")))
    thread.start()
    thread.join()
    assert [record.status for record in records] == ["finished"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_finished_run_is_not_resumed(run, train, photos, watch):
    watch(run.folder)
    with pytest.raises(RunError, match="finished") as refused:
        train(photos, None, resume=run.folder)
    assert refused.value.where == str(run.folder)


def test_a_run_is_not_resumed_on_other_photos(interrupted, train, photos, tmp_path, watch):
    watch(interrupted.folder)
    other = shutil.copytree(photos, tmp_path / "photos")
    Image.new("RGB", (32, 32), "white").save(other / "red" / "0.png")
    watch(other)
    with pytest.raises(RunError, match="not those that the run began with"):
        train(other, None, resume=interrupted.folder)


def test_the_same_photos_at_another_place_are_the_same(whole, interrupted, train, photos, tmp_path):
    moved = shutil.copytree(photos, tmp_path / "moved")
    done = train(moved, None, resume=interrupted.folder)
    assert (done.folder / WEIGHTS).read_bytes() == (whole.folder / WEIGHTS).read_bytes()


@pytest.mark.parametrize(
    "changed",
    [
        {"overrides": ("train.epochs=5",)},
        {"seed": 0},
        {"out": "elsewhere"},
        {"classes": ("red", "green", "blue")},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_run_is_resumed_with_what_it_has(interrupted, train, photos, watch, changed):
    watch(interrupted.folder)
    options = dict(changed)
    with pytest.raises(UsageError, match="with the recipe that it has"):
        train(photos, options.pop("out", None), resume=interrupted.folder, **options)


def test_a_run_that_was_killed_is_resumed_from_its_last_checkpoint(whole, interrupted, train, photos):
    """A process that is killed says nothing: its status stays "running", and its lock file lies there."""
    killed = interrupted.folder / "run.json"
    text = killed.read_text(encoding="utf-8")
    killed.write_text(text.replace('"status": "interrupted"', '"status": "running"'), encoding="utf-8")
    assert runs.read_run(interrupted.folder).status == "running"
    (interrupted.folder / ".lock").touch()
    done = train(photos, None, resume=interrupted.folder)
    assert done.status == "finished"
    assert (done.folder / WEIGHTS).read_bytes() == (whole.folder / WEIGHTS).read_bytes()


def test_what_is_no_run_is_not_resumed(interrupted, train, photos):
    with pytest.raises(RunError, match="did you mean 'run'"):
        train(photos, None, resume=interrupted.folder.parent / "rum")


def test_a_run_without_a_whole_checkpoint_is_not_resumed(interrupted, train, photos, watch):
    (checkpoint,) = (interrupted.folder / "checkpoints").glob("*.safetensors")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    watch(interrupted.folder)
    with pytest.raises(RunError, match="no checkpoint to go on from"):
        train(photos, None, resume=interrupted.folder)


def test_a_run_in_use_is_not_resumed(interrupted, train, photos):
    with (
        runs.lock(interrupted.folder),
        pytest.raises(RunError, match="another process is working in this run folder"),
    ):
        train(photos, None, resume=interrupted.folder)
    assert runs.read_run(interrupted.folder).status == "interrupted"
