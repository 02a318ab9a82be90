"""Runs one after the other in this process, or several at once in processes of their own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from sortograph.errors import GateError, RunError
from sortograph.records import EpochDone, Event, Progress, RunRecord, Said, Step
from sortograph.records.sweeps import RunOutcome, RunTask

_PAUSE = 0.1
_PATIENCE = 5.0  # seconds that a process has to end by itself
_GATE, _INTERRUPTED = 4, 130
# As `api.log` writes it; a test has both agree.
_EPOCH = re.compile(r"epoch (\d+) of (\d+): .*; validation loss (\S+), accuracy ([\d.]+);")


class Watch(Protocol):
    """Whether a run shall end here: its task, the epoch, loss and accuracy (0–1) on validation photos."""

    def __call__(self, task: RunTask, epoch: int, loss: float, accuracy: float) -> bool: ...


Train = Callable[[RunTask, Progress], RunRecord]


class _Behind(BaseException):
    """Ends a run from its progress callback. No Exception: a run that is cut short is no failure to log."""


class SerialRunner:
    """One run at a time, in this process. Raises what the training of a run raises, but for GateError."""

    def __init__(self, train: Train, watch: Watch, progress: Progress) -> None:
        self._train, self._watch, self._progress = train, watch, progress
        self._said: set[str] = set()

    def run(self, tasks: Iterable[RunTask]) -> Generator[RunOutcome, None, None]:
        for task in tasks:
            yield self._one(task)

    def _one(self, task: RunTask) -> RunOutcome:
        began = time.monotonic()

        def seconds() -> float:
            return time.monotonic() - began

        try:
            record = self._train(task, lambda event: self._hear(task, event))
        except _Behind:
            return RunOutcome(task, "pruned", seconds(), reason="behind the median of the others")
        except GateError as error:
            return RunOutcome(task, "failed", seconds(), reason=error.what)
        if record.status != "finished":
            return RunOutcome(task, "interrupted", seconds(), reason="Ctrl-C")
        return RunOutcome(task, "finished", seconds(), record)

    def _hear(self, task: RunTask, event: Event) -> None:
        """Epochs become a bar; what is said is told once, however many runs say it."""
        if isinstance(event, Said):
            if event.warning and event.text not in self._said:
                self._said.add(event.text)
                self._progress(event)
        elif isinstance(event, EpochDone):
            if event.row.epoch < event.epochs:
                left = event.seconds_left
                self._progress(Step(task.title(), event.row.epoch, event.epochs, "epochs", left))
            row = event.row
            loss, accuracy = row.validation_loss, row.validation_accuracy
            if None not in (loss, accuracy) and self._watch(task, row.epoch, loss or 0.0, accuracy or 0.0):
                raise _Behind
        elif event.done < event.total and event.unit != "epochs":
            self._progress(Step(f"{task.title()}: {event.task}", event.done, event.total, event.unit))


@dataclass(slots=True)
class _Process:
    task: RunTask
    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    began: float
    epochs: int = 0
    behind: bool = False


class ProcessRunner:
    """`jobs` runs at once: `python -m sortograph train`, each in a process of its own.

    read: run folder → record. A process that ends by a signal is told as "killed". Raises RunError with what
    the process said where it could not do its work.
    """

    def __init__(self, jobs: int, read: Callable[[Path], RunRecord], watch: Watch) -> None:
        self._jobs, self._read, self._watch = jobs, read, watch

    def run(self, tasks: Iterable[RunTask]) -> Generator[RunOutcome, None, None]:
        waiting, running = iter(tasks), list[_Process]()
        try:
            while True:
                while len(running) < self._jobs and (task := next(waiting, None)) is not None:
                    running.append(_started(task))
                if not running:
                    return
                for one in [one for one in running if self._is_over(one)]:
                    running.remove(one)
                    yield self._outcome(one)
                time.sleep(_PAUSE)
        finally:
            for one in running:
                _end(one)
                one.errors.close()

    def _is_over(self, one: _Process) -> bool:
        if one.process.poll() is not None:
            return True
        for epoch, loss, accuracy in _epochs(one.task.folder / "log.txt")[one.epochs :]:
            one.epochs += 1
            if self._watch(one.task, epoch, loss, accuracy):
                one.behind = True
                _end(one)
                return True
        return False

    def _outcome(self, one: _Process) -> RunOutcome:
        seconds, code = time.monotonic() - one.began, one.process.returncode
        one.errors.seek(0)
        said = one.errors.read().decode("utf-8", "replace")
        one.errors.close()
        if one.behind:
            return RunOutcome(one.task, "pruned", seconds, reason="behind the median of the others")
        if code == 0:
            return RunOutcome(one.task, "finished", seconds, self._read(one.task.folder))
        what, fix = _told(said)
        if code == _GATE:
            return RunOutcome(one.task, "failed", seconds, reason=what)
        if code < 0 or code in (_INTERRUPTED, 128 + signal.SIGTERM, 128 + 9):
            return RunOutcome(one.task, "killed", seconds, reason=f"its process ended with {code}")
        raise RunError(f"{one.task.title()}: {what or f'ended with exit code {code}'}", fix=fix)


def command(task: RunTask) -> list[str]:
    """What is typed for a task. Paths are absolute, so that none looks like an option."""
    threads = (f"train.threads={task.threads}",) if task.threads else ()
    sets = [word for change in (*threads, *task.overrides) for word in ("--set", change)]
    return [
        *(sys.executable, "-m", "sortograph", "train", str(task.photos.absolute())),
        *("--recipe", str(task.recipe.absolute()), "--seed", str(task.seed)),
        *("--out", str(task.folder.absolute()), *sets, "--json", "--quiet"),
    ]


def _started(task: RunTask) -> _Process:
    # A group of its own: Ctrl-C is for this process, which then ends the others.
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    errors = tempfile.TemporaryFile()  # noqa: SIM115, closed with its process
    process = subprocess.Popen(
        command(task), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, **apart
    )
    return _Process(task, process, errors, time.monotonic())


def _end(one: _Process) -> None:
    """Ends a process and what it has started."""
    _signal(one.process, hard=False)
    try:
        one.process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        _signal(one.process, hard=True)
        one.process.wait()


def _signal(process: subprocess.Popen[bytes], *, hard: bool) -> None:
    if process.poll() is not None:
        return
    with contextlib.suppress(OSError):
        if sys.platform != "win32":
            os.killpg(process.pid, signal.SIGKILL if hard else signal.SIGTERM)
        elif hard:
            process.kill()
        else:
            process.terminate()


def _epochs(log: Path) -> list[tuple[int, float, float]]:
    """Epoch, validation loss and accuracy, of the lines that are complete."""
    try:
        lines = log.read_bytes().decode("utf-8", "replace").splitlines(keepends=True)
    except OSError:
        return []
    found = (_EPOCH.search(line) for line in lines if line.endswith("\n"))
    return [(int(match[1]), float(match[3]), float(match[4])) for match in found if match]


def _told(said: str) -> tuple[str, str]:
    """The last error in what a process said, and what to type next."""
    lines = said.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    if not starts:
        return (lines[-1] if lines else ""), ""
    error = lines[starts[-1] :]
    fixes = [line.partition("next: ")[2] for line in error if line.lstrip().startswith("next: ")]
    return error[0].removeprefix("error: "), (fixes or [""])[0]
