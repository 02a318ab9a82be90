from __future__ import annotations

import sys
import time

import pytest

from sortograph.api.log import _line
from sortograph.cli import app
from sortograph.errors import DataError, GateError, RunError
from sortograph.records import EpochDone, EpochRow, Said, Step
from sortograph.sweeps import runners
from sortograph.sweeps.runners import ProcessRunner, SerialRunner, command


def epoch(number, accuracy=0.8, epochs=3):
    row = EpochRow(number, 0.5, 0.75, 0.6, accuracy, 1e-3, 1.5, 80.0)
    return EpochDone(row, epochs, 2.0, best=False)


def never(task, epoch, loss, accuracy):
    return False


def test_one_after_the_other(task, record):
    seen = []

    def train(one, progress):
        seen.append(one.title())
        return record(folder=one.folder)

    found = list(SerialRunner(train, never, seen.append).run([task("a"), task("b", 2)]))
    assert [(one.status, one.task.title()) for one in found] == [
        ("finished", "a, seed 1"),
        ("finished", "b, seed 2"),
    ]
    assert seen == ["a, seed 1", "b, seed 2"]


def test_the_next_task_is_asked_for_when_it_can_begin(task, record):
    """What has been found decides what comes next."""
    order = []

    def tasks():
        for name in ("a", "b"):
            order.append(f"asked for {name}")
            yield task(name)

    runner = SerialRunner(lambda one, _: record(folder=one.folder), never, order.append)
    for one in runner.run(tasks()):
        order.append(f"done {one.task.configuration}")
    assert order == ["asked for a", "done a", "asked for b", "done b"]


def test_a_run_behind_the_others_is_cut_short(task):
    reached = []

    def train(one, progress):
        for number in (1, 2, 3):
            progress(epoch(number, accuracy=0.1 * number))
            reached.append(number)

    def watch(one, number, loss, accuracy):
        assert (loss, accuracy) == (0.6, 0.1 * number)
        return number == 2

    (found,) = SerialRunner(train, watch, lambda _: None).run([task()])
    assert found.status == "pruned"
    assert reached == [1]


def test_an_exploding_loss_fails_one_run_and_other_errors_all(task, record):
    def train(one, progress):
        if one.configuration == "a":
            raise GateError("the loss is no number")
        if one.configuration == "b":
            return record(folder=one.folder)
        raise DataError("no photos")

    outcomes = SerialRunner(train, never, lambda _: None).run([task("a"), task("b"), task("c")])
    first, second = next(outcomes), next(outcomes)
    assert (first.status, first.reason, second.status) == ("failed", "the loss is no number", "finished")
    with pytest.raises(DataError):
        next(outcomes)


def test_an_interrupted_run_is_told(task, record):
    (found,) = SerialRunner(lambda one, _: record(status="interrupted"), never, lambda _: None).run([task()])
    assert found.status == "interrupted"


def test_what_is_drawn_of_a_run(task, record):
    """A bar of epochs; warnings once, however many runs give them; nothing else that is said."""
    told = []

    def train(one, progress):
        for event in (Said("lines"), Said("careful", warning=True), epoch(1), epoch(3), Step("judging", 1, 9),
                      Step("judging", 9, 9), Step("dense heads", 1, 5, "epochs")):  # fmt: skip
            progress(event)
        return record(folder=one.folder)

    list(SerialRunner(train, never, told.append).run([task(), task("b")]))
    assert [event for event in told if isinstance(event, Said)] == [Said("careful", warning=True)]
    first = [event for event in told if isinstance(event, Step)][:2]
    assert first == [Step("a, seed 1", 1, 3, "epochs", 2.0), Step("a, seed 1: judging", 1, 9)]


@pytest.fixture
def program(monkeypatch):
    """Puts a Python program in the place of `train`; it finds the run folder in argv."""

    def put(code):
        monkeypatch.setattr(
            runners, "command", lambda one: [sys.executable, "-c", code, str(one.folder), one.configuration]
        )

    return put


def processes(record, jobs=2, watch=never):
    return ProcessRunner(jobs, lambda folder: record(folder=folder), watch)


def test_several_at_once(program, task, record, tmp_path):
    """Each ends when all four have begun, and fails where they never do."""
    program(
        "import os, pathlib, sys, time\n"
        f"place = pathlib.Path({str(tmp_path)!r}) / 'begun'; place.mkdir(exist_ok=True)\n"
        "(place / sys.argv[2]).touch()\n"
        "end = time.monotonic() + 60\n"
        "while len(os.listdir(place)) < 4:\n"
        "    assert time.monotonic() < end\n"
        "    time.sleep(0.01)"
    )
    found = list(processes(record, jobs=4).run([task(name) for name in "abcd"]))
    assert sorted(one.task.configuration for one in found) == list("abcd")
    assert {one.status for one in found} == {"finished"}
    assert all(one.record.folder == one.task.folder for one in found)


def test_how_processes_end(program, task, record):
    program(
        "import sys, os, signal\nname = sys.argv[2]\n"
        "said = 'note\\nerror: the loss exploded\\n  next: x'\n"
        "if name == 'gate': print(said, file=sys.stderr); sys.exit(4)\n"
        "if name == 'stopped': sys.exit(130)\n"
    )
    found = {
        one.task.configuration: one for one in processes(record).run(map(task, ("gate", "stopped", "good")))
    }
    assert {name: one.status for name, one in found.items()} == {
        "gate": "failed", "stopped": "killed", "good": "finished",
    }  # fmt: skip
    assert found["gate"].reason == "the loss exploded"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals that end a process")
def test_a_process_that_was_killed_may_be_tried_again(program, task, record):
    program("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    (found,) = processes(record).run([task()])
    assert (found.status, found.record) == ("killed", None)


def test_other_errors_end_the_sweep_and_its_processes(program, task, record, tmp_path):
    program(
        "import sys, time, pathlib\n"
        "said = 'error: no photos: x\\n  next: look there'\n"
        "if sys.argv[2] == 'bad': print(said, file=sys.stderr); sys.exit(3)\n"
        f"time.sleep(20); pathlib.Path({str(tmp_path / 'late')!r}).touch()"
    )
    began = time.monotonic()
    with pytest.raises(RunError, match=r"bad, seed 1: no photos: x\n  next: look there"):
        list(processes(record).run([task("slow"), task("bad")]))
    assert time.monotonic() - began < 10
    assert not (tmp_path / "late").exists()


def test_closing_ends_what_is_running(program, task, record):
    program("import time, sys\nif sys.argv[2] == 'slow': time.sleep(20)")
    began = time.monotonic()
    outcomes = processes(record).run([task("slow"), task("quick")])
    assert next(outcomes).task.configuration == "quick"
    outcomes.close()
    assert time.monotonic() - began < 10


def test_a_process_behind_the_others_is_ended(program, task, record):
    """What it has logged so far is read from its folder."""
    line = f"2026-01-01 00:00:00 {_line(epoch(1, accuracy=0.25))}\n"
    program(
        "import sys, time, pathlib\nfolder = pathlib.Path(sys.argv[1]); folder.mkdir(parents=True)\n"
        f"(folder / 'log.txt').write_text({line!r}); time.sleep(20)"
    )
    seen = []

    def watch(one, number, loss, accuracy):
        seen.append((one.configuration, number, loss, accuracy))
        return True

    began = time.monotonic()
    (found,) = processes(record, watch=watch).run([task()])
    assert time.monotonic() - began < 10
    assert found.status == "pruned"
    assert seen == [("a", 1, 0.6, 0.25)]


def test_epochs_are_read_as_the_log_writes_them(tmp_path):
    log = tmp_path / "log.txt"
    assert runners._epochs(log) == []
    log.write_text(
        f"{_line(epoch(1))}\nwarning: something\n{_line(epoch(2, 0.9))}, best so far\nepoch 3 of 3: tr"
    )
    assert runners._epochs(log) == [(1, 0.6, 0.8), (2, 0.6, 0.9)]


def test_the_command_is_one_that_train_understands(task):
    from dataclasses import replace

    one = replace(task(), overrides=("model.dropout=0.5",), threads=2)
    words = command(one)
    assert words[:3] == [sys.executable, "-m", "sortograph"]
    parsed = app.app()(words[3:], standalone_mode=False)
    assert parsed.keywords["overrides"] == ["train.threads=2", "model.dropout=0.5"]
    assert (parsed.keywords["seed"], parsed.keywords["out"]) == (1, one.folder)
    assert parsed.keywords["recipe"] == str(one.recipe)
