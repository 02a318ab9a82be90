"""Prototypes of training photos, and what is unlike all of them."""

from __future__ import annotations

import numpy as np
import pytest

from sortograph.evaluation.likeness import likeness_row, likeness_to, prototypes


def cloud(random: np.random.Generator, centre: np.ndarray, n: int) -> np.ndarray:
    return (centre + 0.2 * random.normal(size=(n, len(centre)))).astype(np.float32)


def test_photos_of_another_kind_lie_below_the_threshold() -> None:
    random = np.random.default_rng(0)
    kinds = random.normal(size=(4, 32))
    taught = np.concatenate([cloud(random, kinds[k], 100) for k in range(3)])
    centres = prototypes(taught)
    assert 25 < len(centres) <= 75
    assert np.linalg.norm(centres, axis=1) == pytest.approx(1.0, abs=1e-5)
    held_out = np.concatenate([cloud(random, kinds[k], 60) for k in range(3)])
    row = likeness_row(likeness_to(centres, held_out))
    assert row is not None
    assert (row.n, row.share) == (180, pytest.approx(1 / 181))
    fresh = np.concatenate([cloud(random, kinds[k], 500) for k in range(3)])
    assert (likeness_to(centres, fresh) < row.threshold).mean() < 0.03
    assert (likeness_to(centres, cloud(random, kinds[3], 200)) < row.threshold).mean() > 0.95


def test_the_length_of_an_embedding_does_not_matter() -> None:
    random = np.random.default_rng(1)
    some = random.normal(size=(40, 8)).astype(np.float32)
    centres = prototypes(some)
    assert likeness_to(centres, some * 17) == pytest.approx(likeness_to(centres, some), abs=1e-6)


def test_few_and_empty_embeddings() -> None:
    assert prototypes(np.ones((1, 4), dtype=np.float32)).shape == (1, 4)
    assert prototypes(np.zeros((9, 4), dtype=np.float32)).shape == (1, 4)
    assert likeness_row(np.zeros(0)) is None


def test_prototypes_are_the_same_each_time_and_never_too_many() -> None:
    some = np.random.default_rng(2).normal(size=(1500, 6)).astype(np.float32)
    assert 200 < len(prototypes(some)) <= 256
    assert np.array_equal(prototypes(some), prototypes(some))


def test_no_prototype_is_the_embedding_of_one_photo() -> None:
    random = np.random.default_rng(3)
    some = random.normal(size=(200, 12)).astype(np.float32)
    some[:5] = 30 * np.eye(12, dtype=np.float32)[:5]  # outliers, each a cluster of its own
    units = some / np.linalg.norm(some, axis=1, keepdims=True)
    assert (prototypes(some) @ units.T).max() < 0.9999
