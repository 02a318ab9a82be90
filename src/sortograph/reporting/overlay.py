"""Curves of several runs laid over each other, as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sortograph.records import EpochRow, Estimate
from sortograph.reporting import plots, typeface

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito without black and yellow, which are hard to see on dark or on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_DASHES = ("-", "--", "-.", ":")
_WIDEST = 34


@dataclass(frozen=True, slots=True)
class Course:
    """What is drawn of one run. `accuracy` and `log_loss`, on validation, stand for runs without epochs."""

    name: str
    history: tuple[EpochRow, ...]
    best_epoch: int | None = None
    accuracy: Estimate | None = None
    log_loss: Estimate | None = None


def overlay(courses: Sequence[Course]) -> bytes:
    """Validation loss and accuracy per epoch of all runs, the kept epochs marked; b"" where none has epochs.

    Training curves are drawn thin in the same colour. A run without epochs is a level line at what it reached
    on validation; runs beyond the sixth have the colours again with other dashes. Raises MissingExtra where
    matplotlib is not installed.
    """
    if not any(course.history for course in courses):
        return b""
    names = [typeface.plot_text(course.name, _WIDEST) for course in courses]
    with plots.canvas((9.0, 3.6 + 0.22 * -(-len(courses) // 2)), names) as figure:
        loss, accuracy = figure.subplots(1, 2)
        for k, (course, name) in enumerate(zip(courses, names, strict=True)):
            _draw(loss, course, "loss", k, name)
            _draw(accuracy, course, "accuracy", k, name)
        for axes in (loss, accuracy):
            _dress(axes)
        loss.set_ylabel("cross-entropy (nats)")
        accuracy.set_ylabel("accuracy")
        accuracy.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        lines, labels = accuracy.get_legend_handles_labels()
        legend = figure.legend(lines, labels, loc="outside lower center", ncols=2, frameon=False)
        for text in legend.get_texts():
            text.set_parse_math(False)
        return plots.png(figure)


def _draw(axes: Axes, course: Course, name: str, k: int, label: str) -> None:
    colour, dashes = COLOURS[k % len(COLOURS)], _DASHES[k // len(COLOURS) % len(_DASHES)]
    if not course.history:
        level = course.accuracy if name == "accuracy" else course.log_loss
        if level is not None:
            axes.axhline(level.value, color=colour, linestyle=dashes, linewidth=1.4, label=label)
        return
    epochs = [row.epoch for row in course.history]
    train, validation = (
        np.array([np.nan if value is None else value for value in values], dtype=np.float64)
        for values in (
            [getattr(row, f"train_{name}") for row in course.history],
            [getattr(row, f"validation_{name}") for row in course.history],
        )
    )
    axes.plot(epochs, train, dashes, color=colour, linewidth=0.9, alpha=0.45)
    marker = "o" if len(epochs) <= 30 else ""
    axes.plot(epochs, validation, dashes, color=colour, marker=marker, markersize=3, label=label)
    if course.best_epoch in epochs:
        kept = epochs.index(course.best_epoch)
        axes.plot(epochs[kept], validation[kept], "D", color=colour, markersize=6, markeredgecolor="white")


def _dress(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True, min_n_ticks=1))
    axes.grid(color=plots.FAINT, linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
