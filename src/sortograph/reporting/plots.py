"""Curves, reliability, confusion matrix and scores per class as PNG, without pyplot and its global state."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from sortograph.errors import MissingExtra
from sortograph.lazy import importing
from sortograph.records import ClassScore, EpochRow, EvaluationResult
from sortograph.reporting import typeface

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAINT = "#d5d9e0"  # of grids
# Blue and vermilion of Okabe and Ito, told apart with every kind of colour vision.
_TRAIN, _VALIDATION, _INK = "#0072b2", "#d55e00", "#1f2430"
_DPI = 150
_NUMBERED = 30
_LISTED = 40


def curves(history: Sequence[EpochRow], best_epoch: int | None) -> bytes:
    """Loss and accuracy per epoch, training and validation, the kept epoch marked; b"" without epochs.

    Raises MissingExtra where matplotlib is not installed.
    """
    if not history:
        return b""
    with canvas((9.0, 3.3), ()) as figure:
        loss, accuracy = figure.subplots(1, 2)
        for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
            _curve(axes, history, name, best_epoch)
        loss.set_ylabel("cross-entropy (nats)")
        accuracy.set_ylabel("accuracy")
        accuracy.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        accuracy.legend(loc="lower right", framealpha=0.9, edgecolor="none")
        return png(figure)


def reliability(result: EvaluationResult) -> bytes:
    """How often answers of some probability are right, with intervals, above how many photos have it.

    Points on the diagonal mean what they say. b"" where it was not measured. Raises MissingExtra where
    matplotlib is not installed.
    """
    bins = result.reliability
    if not bins:
        return b""
    with canvas((5.4, 5.2), ()) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
        above.plot((0, 1), (0, 1), "--", color="#6b7280", linewidth=1, label="as it should be")
        values = np.array([(one.confidence, one.accuracy.value) for one in bins])
        ends = np.array([(one.accuracy.low, one.accuracy.high) for one in bins])
        above.vlines(values[:, 0], ends[:, 0], ends[:, 1], color=_TRAIN, linewidth=4, alpha=0.28)
        above.plot(
            values[:, 0], values[:, 1], "o", color=_TRAIN, markersize=6, label=f"{result.split} photos"
        )
        above.set_ylabel("share that is right")
        above.set_ylim(-0.02, 1.02)
        above.grid(color=FAINT, linewidth=0.7)
        figure.legend(loc="outside upper left", ncols=2, frameon=False)
        _counts(below, result)
        for axis in (above.yaxis, below.xaxis):
            axis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        for axes in (above, below):
            axes.spines[["top", "right"]].set_visible(False)
        return png(figure)


def _counts(axes: Axes, result: EvaluationResult) -> None:
    """Bars with their numbers: most photos lie in the last one, and the others would be told by nothing."""
    bins = result.reliability
    left, right = np.array([(one.low, one.high) for one in bins]).T
    counts = [one.accuracy.n for one in bins]
    drawn = axes.bar(left, counts, right - left, align="edge", color=_TRAIN, edgecolor="white", linewidth=0.8)
    axes.bar_label(drawn, fontsize=7.5, padding=1)
    axes.set_ylim(0, 1.18 * max(counts))
    axes.set_xlim(min(0.5, float(left[0])) - 0.02, 1.02)
    axes.set_ylabel("photos")
    axes.set_xlabel("probability of the answer")


def confusion(result: EvaluationResult, classes: Sequence[str]) -> bytes:
    """Counts, rows are truth; the colour is the share of the row. Above 30 classes without numbers.

    Raises MissingExtra where matplotlib is not installed.
    """
    count = len(classes)
    names = [typeface.plot_text(name, 18) for name in classes]
    counts = result.confusion
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = float(np.clip(0.52 * count + 1.4, 3.2, 9.0))
    with canvas((side + 1.3, side), names) as figure:
        axes = figure.subplots()
        picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        shown = range(0, count, max(1, -(-count // 25)) if count > _NUMBERED else 1)
        labels = [names[k] for k in shown]
        axes.set_xticks(shown, labels, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
        axes.set_yticks(shown, labels, parse_math=False)
        axes.set_xlabel("predicted")
        axes.set_ylabel("truth")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        bar = figure.colorbar(
            picture, ax=axes, fraction=0.045, pad=0.03, aspect=25, format=lambda v, _: f"{100 * v:.0f} %"
        )
        bar.outline.set_visible(False)
        bar.ax.set_ylabel("share of the true class")
        if count <= _NUMBERED:
            _numbers(axes, result, shares)
        return png(figure)


def per_class(result: EvaluationResult) -> bytes:
    """F1 with its interval per class, lowest first; above 40 classes only the lowest 40.

    b"" without classes. Raises MissingExtra where matplotlib is not installed.
    """
    scores = sorted(result.per_class, key=_lowest_first)[:_LISTED]
    if not scores:
        return b""
    names = [typeface.plot_text(score.name) for score in scores]
    with canvas((5.6, 0.27 * len(scores) + 1.0), names) as figure:
        axes = figure.subplots()
        heights = np.arange(len(scores))
        values = np.array([score.f1.value for score in scores])
        ends = np.array([(score.f1.low, score.f1.high) for score in scores])
        axes.hlines(heights, ends[:, 0], ends[:, 1], color=_TRAIN, linewidth=5, alpha=0.28)
        axes.plot(values, heights, "o", color=_TRAIN, markersize=6)
        axes.set_yticks(heights, names, parse_math=False)
        axes.set_ylim(len(scores) - 0.4, -0.6)
        axes.set_xlim(-0.02, 1.02)
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        rest = len(result.per_class) - len(scores)
        axes.set_xlabel(
            "F1" + (f" (the lowest {_LISTED} of {len(result.per_class)} classes)" if rest else "")
        )
        axes.grid(axis="x", color=FAINT, linewidth=0.7)
        axes.tick_params(length=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
        return png(figure)


def _lowest_first(score: ClassScore) -> tuple[float, str]:
    value = score.f1.value
    return (value if np.isfinite(value) else -1.0), score.name


def _curve(axes: Axes, history: Sequence[EpochRow], name: str, best_epoch: int | None) -> None:
    from matplotlib.ticker import MaxNLocator

    epochs = [row.epoch for row in history]
    marker = "o" if len(epochs) <= 30 else ""
    for split, colour, line in (("train", _TRAIN, "-"), ("validation", _VALIDATION, "--")):
        values = [getattr(row, f"{split}_{name}") for row in history]
        if any(value is not None for value in values):
            numbers = [np.nan if value is None else value for value in values]
            axes.plot(epochs, numbers, line, color=colour, marker=marker, markersize=3.5, label=split)
    if best_epoch is not None:
        axes.axvline(
            best_epoch, color="#6b7280", linewidth=1, linestyle=":", label=f"kept: epoch {best_epoch}"
        )
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True, min_n_ticks=1))
    axes.grid(color=FAINT, linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)


def _numbers(axes: Axes, result: EvaluationResult, shares: np.ndarray[Any, Any]) -> None:
    size = 10 if len(shares) <= 12 else 7
    for (row, column), count in np.ndenumerate(result.confusion):
        if count:
            colour = "white" if shares[row, column] > 0.55 else _INK
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=size)


@contextmanager
def canvas(inches: tuple[float, float], texts: Sequence[str]) -> Iterator[Figure]:
    """A figure whose look depends on nothing but this function; drawn with Agg."""
    try:
        with importing():
            import matplotlib
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra.of("train", "matplotlib") from None
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_look(typeface.plot_families(texts)))
        figure = Figure(figsize=inches, dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def _look(families: list[str]) -> dict[Any, Any]:
    inks = ("text.color", "axes.labelcolor", "xtick.color", "ytick.color")
    return {
        "font.family": families,
        "font.size": 10,
        "axes.edgecolor": "#9aa1ad",
        "axes.unicode_minus": False,
        "lines.linewidth": 1.8,
        **dict.fromkeys(inks, _INK),
    }


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # Without the version of matplotlib in it, the same figures give the same bytes for longer.
    figure.savefig(buffer, format="png", metadata={"Software": None}, bbox_inches="tight", pad_inches=0.05)
    return buffer.getvalue()
