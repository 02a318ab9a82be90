from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sortograph.auditing import AuditView, run_audit
from sortograph.records import Finding
from sortograph.records.looks import TRANSPARENT

Change = Callable[..., AuditView]
CLASSES, PER_CLASS = 3, 60


def found(view: AuditView) -> list[Finding]:
    return list(run_audit(view, only=["shortcuts"]).findings)


def by_class(*values: object) -> dict[int, object]:
    return {row: values[row // PER_CLASS] for row in range(CLASSES * PER_CLASS)}


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("the kind of file", {"looks": {"oddities": by_class(0, TRANSPARENT, 0)}}),
        ("the file size", {"looks": {"bytes": by_class(9_000, 20_000, 80_000)}}),
        ("the number of pixels", {"sizes": by_class((200, 200), (300, 300), (400, 400))}),
        ("the shape of the picture", {"sizes": by_class((200, 300), (300, 200), (245, 245))}),
        ("a frame of one colour", {"looks": {"border_spread": by_class(40.0, 0.0, 40.0)}}),
    ],
)
def test_facts_of_files_that_give_the_class_away(
    name: str, columns: dict[str, object], clean: AuditView, change: Change
) -> None:
    findings = found(change(clean, **columns))
    (finding,) = [finding for finding in findings if finding.message.startswith(name)]
    assert finding.severity >= 0.4
    assert "new photos will not keep to that" in finding.message


@pytest.mark.parametrize("field", ["brightness", "border"])
def test_what_may_be_a_true_cue_is_a_hint(field: str, clean: AuditView, change: Change) -> None:
    (finding,) = found(change(clean, looks={field: by_class(40, 120, 200)}))
    assert finding.severity == 0.2
    assert "may be a true cue" in finding.message
    assert "100 % of the photos" in finding.message


def test_twins_and_groups_are_on_one_side(clean: AuditView, change: Change) -> None:
    """Each group has a border of its own colour, which says nothing of photos of other groups."""
    colours = np.random.default_rng(3).permutation(64)[:60].repeat(3)
    borders = 64 * np.stack([colours >> 4, colours >> 2 & 3, colours & 3], axis=1) + 32
    view = change(clean, looks={"border": dict(enumerate(borders))})
    assert found(view)
    groups = {row: f"g{colour}" for row, colour in enumerate(colours)}
    assert found(change(view, groups=groups)) == []
    assert found(change(view, twins=groups)) == []


@pytest.mark.parametrize("seed", range(10))
def test_blind_facts_raise_no_alarm(seed: int, clean: AuditView, change: Change) -> None:
    rng = np.random.default_rng(seed)
    view = change(
        clean,
        looks={
            "format": dict(enumerate(rng.integers(0, 3, 180))),
            "brightness": dict(enumerate(rng.uniform(0, 255, 180))),
        },
    )
    assert found(view) == []


def test_small_classes_are_not_judged(clean: AuditView, change: Change) -> None:
    lone = change(clean, looks={"bytes": by_class(9_000, 20_000, 80_000)}).index
    rows = np.array([k for k in range(180) if k % PER_CLASS < 9])
    assert found(AuditView(lone[rows])) == []
    assert found(AuditView(lone))
