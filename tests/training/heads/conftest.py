"""Embeddings of photos that were never taken: a cloud for each class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sortograph.recipe import Head, Train
from sortograph.training.heads import HeadTask


def clouds(
    counts: tuple[int, ...] = (20, 20, 20), inputs: int = 12, apart: float = 1.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """float32 (N, D) far from the origin and of uneven spread, and labels int64 (N,), shuffled."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    centres = rng.normal(size=(len(counts), inputs)) * apart
    x = centres[labels] + rng.normal(size=(len(labels), inputs))
    return (x * np.linspace(0.2, 5, inputs) + 3).astype(np.float32), labels.astype(np.int64)


def task_of(features: np.ndarray, labels: np.ndarray, head: Head | None = None, **changes: Any) -> HeadTask:
    values: dict[str, Any] = {
        "classes": int(labels.max(initial=0)) + 1,
        "folds": np.arange(len(labels)) % 5,
        "settings": head or Head(),
        "train": Train(),
    }
    return HeadTask(features, labels, **{**values, **changes})


@pytest.fixture
def make_clouds() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    return clouds


@pytest.fixture
def make_task() -> Callable[..., HeadTask]:
    return task_of
