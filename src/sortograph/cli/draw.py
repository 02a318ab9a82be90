"""Progress records → stderr: bars for a person who watches, lines for a log."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from sortograph.cli import streams, tables
from sortograph.errors import counted
from sortograph.records import EpochDone, Said, Step

if TYPE_CHECKING:
    from sortograph.records import Event, Progress

_WIDTHS = (5, 6, 6, 6, 6, 7, 7, 8, 7, 4)
_HEADERS = (
    ("", "loss", "", "acc. %", "", "", "", "", "time", ""),
    ("epoch", "train", "valid.", "train", "valid.", "rate", "seconds", "photos/s", "left", ""),
)


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Progress]:
    """The callback that draws; bars are gone when the context ends."""
    view: _View = _Bars() if streams.draws(sys.stderr) else _Lines()
    try:
        yield _Teller(view, quiet)
    finally:
        view.close()


class _View(Protocol):
    def line(self, text: str) -> None: ...

    def step(self, step: Step) -> None: ...

    def clear(self) -> None: ...

    def close(self) -> None: ...


class _Teller:
    """Turns events into lines and steps of one view."""

    def __init__(self, view: _View, quiet: bool) -> None:
        self._view, self._quiet = view, quiet
        self._finished = ""
        self._headed = False

    def __call__(self, event: Event) -> None:
        if isinstance(event, Said):
            if event.warning or not self._quiet:
                self._view.line(f"warning: {event.text}" if event.warning else event.text)
        elif not self._quiet:
            self._step(event) if isinstance(event, Step) else self._epoch(event)

    def _step(self, step: Step) -> None:
        self._view.step(step)
        if step.done < step.total:
            self._finished = ""
        elif self._finished != step.task:
            self._finished = step.task
            self._view.line(f"{step.task}: {counted(step.done, step.unit.removesuffix('s'))}")

    def _epoch(self, event: EpochDone) -> None:
        self._view.clear()
        for header in () if self._headed else _HEADERS:
            self._view.line(_aligned(header))
        self._headed = True
        self._view.line(_aligned(_epoch_cells(event)))


class _Lines:
    """A log: nothing that moves."""

    def line(self, text: str) -> None:
        streams.note(streams.safe(text))

    def step(self, step: Step) -> None:
        """Its end is a line."""

    def clear(self) -> None:
        """Nothing is drawn."""

    def close(self) -> None:
        """Nothing is open."""


class _Bars:
    """A terminal: a bar for the task under way, lines above it. Drawn from the first step on."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._bars: Any = None
        self._task = ""

    def line(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text(streams.safe(text)), soft_wrap=True)

    def step(self, step: Step) -> None:
        if step.done >= step.total or step.task != self._task:  # a task ends where the next one begins
            self.clear()
        if step.done >= step.total:
            return
        left = "" if step.seconds_left is None else tables.clock(step.seconds_left) + " left"
        now = {"completed": step.done, "total": step.total, "left": left}
        if self._task:
            self._bars.update(self._bars.task_ids[0], **now)
            return
        self._bars = self._bars or _started(self._console)
        self._bars.add_task(streams.safe(step.task), unit=step.unit, **now)
        self._task = step.task

    def clear(self) -> None:
        if self._task:
            self._bars.remove_task(self._bars.task_ids[0])
            self._task = ""

    def close(self) -> None:
        if self._bars is not None:
            self._bars.stop()


def _started(console: Any) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}", markup=False),
        TextColumn("{task.fields[left]}", markup=False),
        console=console,
        transient=True,
        redirect_stdout=False,  # which would end on stderr
    )
    bars.start()
    return bars


def _epoch_cells(event: EpochDone) -> tuple[str, ...]:
    row = event.row
    return (
        f"{row.epoch}/{event.epochs}",
        f"{row.train_loss:.3f}",
        "–" if row.validation_loss is None else f"{row.validation_loss:.3f}",
        f"{100 * row.train_accuracy:.1f}",
        "–" if row.validation_accuracy is None else f"{100 * row.validation_accuracy:.1f}",
        f"{row.learning_rate:.1e}",
        f"{row.seconds:.1f}",
        f"{row.photos_per_second:.0f}",
        tables.clock(event.seconds_left),
        "best" if event.best else "",
    )


def _aligned(cells: tuple[str, ...]) -> str:
    return " ".join(
        tables.padded(cell, columns, "r") for cell, columns in zip(cells, _WIDTHS, strict=True)
    ).rstrip()
