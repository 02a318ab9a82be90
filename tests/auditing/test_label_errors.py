from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sortograph.auditing import AuditView, run_audit
from sortograph.auditing.label_errors import out_of_fold, suspected
from sortograph.records import FeatureTable

Change = Callable[..., AuditView]


@pytest.fixture
def noisy(clean: AuditView, change: Change) -> AuditView:
    """Labels 20, 75 and 130 are wrong."""
    return change(clean, labels={20: 1, 75: 2, 130: 0})


def test_wrong_labels_are_found_with_the_right_ones(noisy: AuditView) -> None:
    suspects = suspected(noisy)
    assert dict(zip(suspects.rows.tolist(), suspects.looks_like.tolist(), strict=True)) == {
        20: 0,
        75: 1,
        130: 2,
    }
    assert (suspects.probability > 0.8).all()
    assert (np.diff(suspects.own) >= 0).all()


def test_findings_set_nothing_aside_and_keep_the_ranking(noisy: AuditView) -> None:
    found = run_audit(noisy, only=["label-errors"]).findings
    ranked = [noisy.index.paths[row] for row in suspected(noisy).rows]
    assert [finding.photos for finding in found] == [(path,) for path in ranked]
    assert all(finding.set_aside == () for finding in found)


def test_families_are_never_divided(clean: AuditView) -> None:
    """Features that only a family shares are no help, though memory of the family would be perfect."""
    rng = np.random.default_rng(4)
    families = np.repeat(np.arange(60), 3)
    labels = np.repeat(rng.integers(0, 2, 60), 3)
    features = np.repeat(rng.normal(size=(60, 150)), 3, axis=0).astype(np.float32)
    apart = out_of_fold(features, labels, families)
    divided = out_of_fold(features, labels, np.arange(180))
    assert (divided.argmax(axis=1) == labels).mean() > 0.9
    assert (apart.argmax(axis=1) == labels).mean() < 0.7


def test_twins_and_groups_of_the_index_are_families(noisy: AuditView, change: Change) -> None:
    """A wrong label that its copies share is found although they confirm it."""
    copies = noisy.features
    assert copies is not None
    features = copies.features.copy()
    features[[61, 62]] = features[20] = features[0] + 0.01
    view = replace(noisy, features=FeatureTable(features, copies.rows, "test"))
    for column in ("twins", "groups", "sha256"):
        tied = change(view, **{column: dict.fromkeys((20, 61, 62), "same")})
        assert {20, 61, 62} <= set(suspected(tied).rows.tolist())


def test_features_of_some_rows_in_any_order(noisy: AuditView) -> None:
    assert noisy.features is not None
    rows = np.random.default_rng(0).permutation(180)[:170]
    rows = np.union1d(rows, [20, 75, 130])[::-1]
    table = FeatureTable(noisy.features.features[rows], rows, "test")
    assert set(suspected(replace(noisy, features=table)).rows.tolist()) == {20, 75, 130}


def test_classes_that_cannot_be_judged_are_left_out(noisy: AuditView, change: Change) -> None:
    """Dogs are one group: no fold could teach them and judge them."""
    view = change(noisy, groups=dict.fromkeys([*range(60, 120), 20], "kennel"))
    rows = suspected(view).rows
    assert set(rows.tolist()) == {130}
    alone = change(view, labels=dict.fromkeys(range(120, 180), -1))
    assert len(suspected(alone).rows) == 0


def test_unlabelled_photos_are_not_judged(noisy: AuditView, change: Change) -> None:
    assert 20 not in suspected(change(noisy, labels={20: -1})).rows
