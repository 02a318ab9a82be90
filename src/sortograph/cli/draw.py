"""Progress records → stderr: bars for a person who watches, lines for a log."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from sortograph.cli import streams, tables
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
    view: _View = _Bars() if streams.draws(sys.stderr) and not quiet else _Lines()
    try:
        yield _Teller(view, quiet)
    finally:
        view.close()


class _View(Protocol):
    def line(self, text: str) -> None: ...

    def step(self, step: Step) -> None: ...

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
            self._view.line(f"{step.task}: {step.done} {step.unit}")

    def _epoch(self, event: EpochDone) -> None:
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

    def close(self) -> None:
        """Nothing is open."""


class _Bars:
    """A terminal: one bar for each task under way, lines above them. Drawn from the first bar on."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}

    def line(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text(streams.safe(text)), soft_wrap=True)

    def step(self, step: Step) -> None:
        if step.done >= step.total:
            if step.task in self._tasks:
                self._bars.remove_task(self._tasks.pop(step.task))
            return
        if self._bars is None:
            self._bars = _started(self._console)
        if step.task not in self._tasks:
            self._tasks[step.task] = self._bars.add_task(streams.safe(step.task), unit=step.unit, left="")
        left = "" if step.seconds_left is None else tables.clock(step.seconds_left) + " left"
        self._bars.update(self._tasks[step.task], completed=step.done, total=step.total, left=left)

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
