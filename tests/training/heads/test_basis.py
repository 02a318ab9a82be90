from __future__ import annotations

import numpy as np
import pytest

from sortograph.training.heads import basis as module
from sortograph.training.heads.basis import basis, pareto, short


@pytest.mark.parametrize("count", [8, 40])
def test_components_are_uncorrelated_and_keep_every_length(make_clouds, count):
    x, _ = make_clouds((count, count), inputs=24)
    made = basis(x)
    z = made.components(x)
    assert z.shape[1] <= min(len(x), 24)
    plain = made.scaled(x)
    np.testing.assert_allclose(z @ z.T, plain @ plain.T, atol=1e-3)
    squares = z.T @ z / len(z)
    np.testing.assert_allclose(squares, np.diag(made.spread), atol=1e-4)
    assert made.turn is not None
    np.testing.assert_allclose(made.turn.T @ made.turn, np.eye(z.shape[1]), atol=1e-5)


def test_scaled_numbers_vary_by_one_in_the_mean_and_by_the_roots_of_what_they_did(make_clouds):
    x, _ = make_clouds()
    x[:, 0] *= 16
    plain = pareto(x).scaled(x)
    np.testing.assert_allclose(plain.mean(axis=0), 0, atol=1e-4)
    before, after = x.std(axis=0), plain.std(axis=0)
    np.testing.assert_allclose(after**2 / after[1] ** 2, before / before[1], rtol=1e-4)
    np.testing.assert_allclose(after**2, pareto(x).spread, rtol=1e-4)


@pytest.mark.parametrize(("inputs", "length"), [(24, 24**0.5), (640, 8)])
def test_long_embeddings_are_shortened(make_clouds, inputs, length):
    x, _ = make_clouds(inputs=inputs)
    x *= np.linspace(1, 3, inputs, dtype=np.float32)
    made = short(x)
    np.testing.assert_allclose(made.scaled(x).var(axis=0), made.spread, rtol=1e-3)
    assert 0.7 * length < np.sqrt(np.square(made.scaled(x)).sum(axis=1).mean()) <= 1.001 * length
    x[:, ::2] = 7.3  # what never changes is no length
    half = min(length, (inputs / 2) ** 0.5)
    assert 0.7 * half < np.sqrt(np.square(short(x).scaled(x)).sum(axis=1).mean()) <= 1.001 * half


def test_each_backbone_has_its_say_however_large_its_numbers_are(make_clouds):
    x, _ = make_clouds(inputs=24)
    x[:, 16:] *= 1000
    variance = pareto(x, (16, 8)).scaled(x).var(axis=0)
    np.testing.assert_allclose([variance[:16].mean(), variance[16:].mean()], 1, rtol=1e-4)
    made, alone = basis(x, (16, 8)), basis(x)
    assert not np.allclose(made.spread, alone.spread)


def test_numbers_that_never_change_have_no_say(make_clouds):
    x, _ = make_clouds()
    x[:, 3], x[:, 5] = 7.3, 0
    made = basis(x)
    assert made.scale[[3, 5]].tolist() == [0, 0]
    assert np.isfinite(made.components(x)).all()


@pytest.mark.parametrize("counts", [(4, 4), (30, 30)])
@pytest.mark.parametrize("most", [3072, 2])
def test_weights_of_components_are_weights_of_embeddings(make_clouds, monkeypatch, counts, most):
    monkeypatch.setattr(module, "_MOST_DIRECTIONS", most)
    x, _ = make_clouds(counts)
    made = basis(x)
    assert (made.turn is None) == (most == 2)
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(len(made.spread), 3)).astype(np.float32)
    bias = rng.normal(size=3).astype(np.float32)
    unfolded, moved = made.unfolded(weights, bias)
    assert unfolded.dtype == moved.dtype == np.float32
    np.testing.assert_allclose(x @ unfolded.T + moved, made.components(x) @ weights + bias, atol=1e-3)
