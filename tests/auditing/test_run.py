from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sortograph.auditing import CHECKS, AuditView, run_audit
from sortograph.errors import UsageError
from sortograph.records import Event, Step

Change = Callable[..., AuditView]


def test_the_quick_form_leaves_out_what_takes_long(clean: AuditView) -> None:
    result = run_audit(clean, quick=True)
    assert set(result.skipped) == {"label-errors", "likely-duplicates"}
    assert all("sortograph audit PHOTOS" in reason for reason in result.skipped.values())
    assert len(result.ran) == len(CHECKS) - 2


def test_where_nobody_looked_for_likely_duplicates_the_rest_runs(clean: AuditView) -> None:
    assert list(run_audit(replace(clean, likely=None)).skipped) == ["likely-duplicates"]


def test_without_features_the_reason_is_the_one_given(clean: AuditView) -> None:
    why = "no backbone at hand: sortograph audit PHOTOS --model RUN"
    result = run_audit(replace(clean, features=None, why_no_features=why))
    assert result.skipped == {"label-errors": why}


def test_without_looks_and_twins_the_rest_still_runs(clean: AuditView) -> None:
    bare = replace(clean.index, looks=clean.index.looks[:0], twins=())
    result = run_audit(replace(clean, index=bare), quick=True)
    assert set(result.skipped) == {check.name for check in CHECKS if check.needs}
    assert {"exact-duplicates", "leakage", "conflicting-labels", "tiny"} <= set(result.ran)


@pytest.mark.parametrize("module", ["cleanlab.filter", "sklearn.linear_model"])
def test_a_missing_extra_is_named(module: str, clean: AuditView, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    result = run_audit(clean)
    assert 'pip install "sortograph[train]"' in result.skipped["label-errors"]
    assert "label-errors" not in result.ran


def test_a_choice_of_checks(clean: AuditView, change: Change) -> None:
    view = change(clean, looks={"contrast": {8: 0.4}}, sha256={6: "a", 1: "a"})
    result = run_audit(view, only=["blank"])
    assert result.ran == ("blank",)
    assert [finding.check for finding in result.findings] == ["blank"]
    assert set(result.skipped) == {check.name for check in CHECKS} - {"blank"}


def test_unknown_checks_are_refused_all_at_once(clean: AuditView) -> None:
    with pytest.raises(UsageError, match=r"'blnk' \(did you mean 'blank'\?\), 'x'"):
        run_audit(clean, only=["blnk", "dark", "x"])


def test_the_gravest_come_first_then_order_of_checks_then_paths(clean: AuditView, change: Change) -> None:
    copies = {10: "b", 11: "b", 0: "a", 1: "a", 2: "c", 62: "c"}
    looks = {"brightness": {9: 4.0}, "contrast": {8: 0.4}, "bytes": dict.fromkeys(copies, 5_000)}
    view = change(clean, sha256=copies, looks=looks, sizes=dict.fromkeys(copies, (200, 200)))
    found = run_audit(view, quick=True).findings
    assert [(f.check, f.photos[0]) for f in found] == [
        ("conflicting-labels", "cats/02.jpg"),
        ("blank", "cats/08.jpg"),
        ("exact-duplicates", "cats/00.jpg"),
        ("exact-duplicates", "cats/10.jpg"),
        ("dark", "cats/09.jpg"),
    ]


def test_progress_counts_the_checks(clean: AuditView) -> None:
    told: list[Event] = []
    result = run_audit(clean, quick=True, progress=told.append)
    steps = [event for event in told if isinstance(event, Step)]
    assert [step.done for step in steps] == list(range(len(result.ran) + 1))
    assert {(step.total, step.unit) for step in steps} == {(len(CHECKS) - 2, "checks")}


def test_findings_do_not_hang_on_the_order_of_the_photos(clean: AuditView, change: Change) -> None:
    view = change(clean, sha256={0: "a", 4: "a", 6: "b", 7: "b"}, twins={20: "t", 21: "t", 22: "t"})
    order = np.random.default_rng(1).permutation(len(view.index))
    mixed = replace(view, index=view.index[order])
    told = [(f.check, f.message, set(f.set_aside)) for f in run_audit(view, quick=True).findings]
    assert told
    assert [(f.check, f.message, set(f.set_aside)) for f in run_audit(mixed, quick=True).findings] == told


def test_names_are_shown_in_one_line(clean: AuditView, change: Change) -> None:
    view = change(clean, paths={1: "cats/a\nb.jpg"}, sha256={6: "a", 1: "a"}, classes={0: "c\x1b[31m"})
    found = run_audit(change(view, sha256={2: "b", 62: "b"}), quick=True).findings
    assert found
    assert all(line.isprintable() for f in found for line in (f.message, f.remedy))
    assert "cats/a\nb.jpg" in found[1].photos
