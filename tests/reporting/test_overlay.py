from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image

from sortograph.errors import MissingExtra
from sortograph.records import EpochRow, Estimate
from sortograph.reporting.overlay import COLOURS, Course, overlay


def history(epochs: int, low: float = 0.5, *, validated: bool = True) -> tuple[EpochRow, ...]:
    return tuple(
        EpochRow(e, 1 / e, low + 0.3 * e / epochs, 1.2 / e if validated else None,
                 low + 0.2 * e / epochs if validated else None, 0.1, 1.0, 9.0)
        for e in range(1, epochs + 1)
    )  # fmt: skip


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def has(png: bytes, colour: str) -> bool:
    wanted = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    return bool((np.abs(pixels(png) - wanted).max(axis=2) <= 2).sum() > 50)


def test_runs_lie_over_each_other_each_in_its_colour():
    courses = [Course("one", history(5), 4), Course("two", history(9, 0.4)), Course("three", history(3))]
    assert [has(overlay(courses[:2]), colour) for colour in COLOURS[:3]] == [True, True, False]
    assert has(overlay(courses), COLOURS[2])


def test_a_run_without_epochs_is_a_level_line_at_what_it_reached():
    level = Estimate(0.61, 0.5, 0.7, 0.95, 100, "wilson")
    nats = Estimate(0.9, 0.8, 1.0, 0.95, 100, "student t")
    with_line = overlay([Course("one", history(5)), Course("two", (), None, level, nats)])
    without = overlay([Course("one", history(5)), Course("two", ())])
    assert has(with_line, COLOURS[1])
    assert not has(without, COLOURS[1])


def test_nothing_is_drawn_where_no_run_has_epochs():
    assert overlay([]) == b""
    assert overlay([Course("one", ()), Course("two", ())]) == b""


def test_many_runs_strange_names_and_runs_without_validation():
    names = ["$x^2$", "_hidden", "음식 · 실내", "x" * 200, "\udcff\n"]
    courses = [Course(names[k % 5], history(k + 1, validated=k != 3), 1) for k in range(26)]
    assert pixels(overlay(courses)).shape[0] > pixels(overlay(courses[:2])).shape[0]


def test_the_same_runs_give_the_same_picture():
    courses = [Course("one", history(5), 4), Course("two", history(9, 0.4))]
    assert overlay(courses) == overlay(courses)


def test_matplotlib_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match="matplotlib"):
        overlay([Course("one", history(2))])
