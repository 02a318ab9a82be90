"""The steps that Keras takes are tested on its own numbers in tests/references/test_keras.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sortograph.recipe import Train
from sortograph.training.optim import make_optimiser, prepare_step

GRADIENTS = np.random.default_rng(2).normal(size=(5, 3, 4)) * np.array([1.0, 1e-3, 1e-6, 1e-8])


class Weights(nn.Module):
    """A matrix and a vector, which get the same gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4))
        self.vector = nn.Parameter(torch.linspace(-1, 1, 12))


def train_with(train: Train, rates: list[float] | None = None) -> Weights:
    weights = Weights()
    optimiser = make_optimiser(train, weights)
    for step, gradient in enumerate(GRADIENTS):
        weights.matrix.grad = torch.tensor(gradient, dtype=torch.float32)
        weights.vector.grad = weights.matrix.grad.reshape(-1).clone()
        prepare_step(optimiser, train, rates[step] if rates else train.learning_rate, step)
        optimiser.step()
    return weights


def start() -> np.ndarray:
    return np.linspace(-1, 1, 12).reshape(3, 4)


def close(found: Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found.detach().reshape(3, 4), expected, rtol=1e-5, atol=1e-6)


def keras_adam(train: Train) -> np.ndarray:
    """Kingma & Ba 2015, arXiv:1412.6980, end of section 2: epsilon beside the square root of v itself."""
    weights, m, v = start(), np.zeros((3, 4)), np.zeros((3, 4))
    for step, raw in enumerate(GRADIENTS, start=1):
        gradient = raw + train.weight_decay * weights
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        rate = train.learning_rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        weights = weights - rate * m / (np.sqrt(v) + train.epsilon)
    return weights


@pytest.mark.parametrize("epsilon", [1e-7, 1e-3, 1.0])
def test_adam_applies_epsilon_as_keras_does(epsilon):
    """The small gradients are of the size of epsilon: there the two readings differ most."""
    train = Train(optimiser="adam", learning_rate=0.1, epsilon=epsilon)
    close(train_with(train).matrix, keras_adam(train))


def test_adam_takes_weight_decay_as_a_penalty_on_all_weights():
    train = Train(optimiser="adam", learning_rate=0.1, weight_decay=0.3)
    found = train_with(train)
    close(found.matrix, keras_adam(train))
    close(found.vector, keras_adam(train))


def test_adamw_decays_matrices_apart_from_the_gradient_and_vectors_not_at_all():
    """Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2."""
    train = Train(optimiser="adamw", learning_rate=0.1, weight_decay=0.2)
    plain = Train(optimiser="adam", learning_rate=0.1)
    decayed, undecayed = train_with(train), train_with(plain)
    assert torch.equal(decayed.vector, undecayed.vector)
    expected, before, kept = start(), np.zeros((3, 4)), 1 - 0.1 * 0.2
    for count in range(1, len(GRADIENTS) + 1):
        after = adam_path(plain, count)
        expected, before = expected * kept + (after - before), after
    close(undecayed.matrix, start() + before)
    close(decayed.matrix, expected)


def adam_path(train: Train, count: int) -> np.ndarray:
    """How far Adam has moved after `count` steps."""
    m = v = np.zeros((3, 4))
    moved = np.zeros((3, 4))
    for step, gradient in enumerate(GRADIENTS[:count], start=1):
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        moved -= (
            train.learning_rate
            * np.sqrt(1 - 0.999**step)
            / (1 - 0.9**step)
            * m
            / (np.sqrt(v) + train.epsilon)
        )
    return moved


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_sgd_is_the_sum_of_its_gradients(momentum, decay):
    train = Train(optimiser="sgd", learning_rate=0.01, momentum=momentum, weight_decay=decay)
    weights, speed = start(), np.zeros((3, 4))
    for gradient in GRADIENTS:
        speed = momentum * speed + gradient + decay * weights
        weights = weights - 0.01 * speed
    close(train_with(train).matrix, weights)


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw"])
def test_each_step_has_the_rate_it_is_given(optimiser):
    train = Train(optimiser=optimiser, learning_rate=0.1)
    still = train_with(train, [0.0] * 5)
    np.testing.assert_allclose(still.matrix.detach(), start(), atol=1e-7)
    late, whole = train_with(train, [0.0, 0.0, 0.0, 0.0, 0.1]), train_with(train)
    assert not torch.equal(late.matrix, whole.matrix)
    assert not torch.equal(late.matrix, still.matrix)
