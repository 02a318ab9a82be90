from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sortograph.auditing import AuditView
from sortograph.auditing.likely import Likely
from sortograph.records import LOOK, DatasetIndex, FeatureTable
from sortograph.records.looks import FORMATS

CLASSES = ("cats", "dogs", "새")
PER_CLASS = 60
N = PER_CLASS * len(CLASSES)


def clean_index() -> DatasetIndex:
    """60 photos of each class with which nothing is wrong; nothing but the folder tells the class."""
    rng = np.random.default_rng(5)
    looks = np.zeros(N, dtype=LOOK)
    looks["brightness"] = rng.uniform(60, 190, N)
    looks["contrast"] = rng.uniform(20, 80, N)
    looks["sharpness"] = np.exp(rng.normal(6, 0.8, N))
    looks["border"] = rng.integers(0, 256, (N, 3))
    looks["border_spread"] = rng.uniform(10, 90, N)
    looks["format"] = FORMATS.index("JPEG")
    looks["bytes"] = rng.integers(20_000, 90_000, N)
    wide = rng.choice([200, 240, 320], (N, 2))
    return DatasetIndex(
        root=Path("photos"),
        classes=CLASSES,
        paths=tuple(f"{name}/{k:02}.jpg" for name in CLASSES for k in range(PER_CLASS)),
        labels=np.repeat(np.arange(len(CLASSES)), PER_CLASS),
        groups=("",) * N,
        splits=tuple(("train", "train", "train", "validation", "test")[k % 5] for k in range(N)),
        sha256=tuple(f"{k:064x}" for k in range(N)),
        sizes=wide.astype(np.int32),
        looks=looks,
        twins=("",) * N,
    )


def clean_features(labels: Any) -> FeatureTable:
    """Features that tell the classes apart, a seventh of the photos with less room to spare."""
    rng = np.random.default_rng(6)
    features = rng.normal(0, 0.3, (len(labels), 12)).astype(np.float32)
    hard = np.arange(len(labels)) % 7 == 3
    features[np.arange(len(labels)), labels] += np.where(hard, 1.5, 3)
    return FeatureTable(features, np.arange(len(labels)), "made for a test")


@pytest.fixture
def clean() -> AuditView:
    index = clean_index()
    likely = Likely(np.full(N, -1), np.zeros(N, dtype=np.bool_))
    return AuditView(index, given=True, likely=likely, features=clean_features(index.labels))


@pytest.fixture
def likely() -> Callable[..., AuditView]:
    """`likely(view, {3: 3, 7: 3}, sure=(3,))`: the view with these rows in groups of likely duplicates."""

    def make(view: AuditView, groups: dict[int, int], sure: tuple[int, ...] = ()) -> AuditView:
        numbers, is_sure = np.full(N, -1), np.zeros(N, dtype=np.bool_)
        numbers[list(groups)] = list(groups.values())
        is_sure[list(sure)] = True
        return replace(view, likely=Likely(numbers, is_sure))

    return make


Change = Callable[..., AuditView]


@pytest.fixture
def change() -> Change:
    """`change(view, splits={3: "test"}, looks={"contrast": {4: 0.0}})`: the view with other cells."""

    def make(view: AuditView, **columns: dict[Any, Any]) -> AuditView:
        fields: dict[str, Any] = {}
        for name, cells in columns.items():
            old = getattr(view.index, name)
            if name == "looks":
                looks = old.copy()
                for field, values in cells.items():
                    for row, value in values.items():
                        looks[field][row] = value
                fields[name] = looks
            elif isinstance(old, tuple):
                fields[name] = tuple(cells.get(row, value) for row, value in enumerate(old))
            else:
                fields[name] = old.copy()
                for row, value in cells.items():
                    fields[name][row] = value
        return replace(view, index=replace(view.index, **fields))

    return make
