"""models.pooling: what torch computes, value by value and bit by bit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from sortograph.models.pooling import max_pool

SHAPES = [(32, 16, 20, 20), (5, 3, 7, 9), (1, 1, 2, 2), (2, 4, 3, 2), (3, 2, 2, 5)]


def photos(shape: tuple[int, ...], seed: int = 0, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """Few different values, so that many neighbours are equal."""
    chance = torch.Generator().manual_seed(seed)
    values = torch.randint(-3, 4, shape, generator=chance) / 2
    return values.to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()


def torchs(x: Tensor, *, rectified: bool) -> Tensor:
    made = F.max_pool2d(x, 2)
    return F.relu(made) if rectified else made


def gradient(made: Tensor, x: Tensor, seed: int = 1) -> Tensor:
    given_ = torch.randn(made.shape, generator=torch.Generator().manual_seed(seed)).to(made.dtype)
    return torch.autograd.grad(made, x, given_.contiguous(memory_format=torch.channels_last))[0]


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_those_of_torch(shape: tuple[int, ...], rectified: bool) -> None:
    x = photos(shape)
    made = max_pool(x, 2, rectified=rectified)
    expected = torchs(x, rectified=rectified)
    assert made.grad_fn is not None
    assert "PoolPairs" in made.grad_fn.name()
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(made, expected)
    found, wanted = gradient(made, x), gradient(expected, x)
    assert torch.equal(found.view(torch.int16), wanted.view(torch.int16))


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(*(st.integers(1, 4),) * 2, *(st.integers(2, 9),) * 2),
    seed=st.integers(0, 1000),
    rectified=st.booleans(),
)
def test_any_shape(shape: tuple[int, ...], seed: int, rectified: bool) -> None:
    x = photos(shape, seed)
    assert torch.equal(
        gradient(max_pool(x, 2, rectified=rectified), x), gradient(torchs(x, rectified=rectified), x)
    )


def test_photos_of_more_than_one_block() -> None:
    x = photos((5, 16, 180, 180))
    assert torch.equal(gradient(max_pool(x, 2), x), gradient(torchs(x, rectified=False), x))


def test_no_number_is_passed_on() -> None:
    x = photos((2, 3, 4, 4)).detach().clone(memory_format=torch.channels_last)
    x[0, 0, 1, 0] = float("nan")
    x[1, 2, 3, 3] = float("inf")
    made = max_pool(x.requires_grad_(), 2, rectified=True)
    assert made[0, 0, 0, 0].isnan()
    assert made[1, 2, 1, 1].isinf()
    assert int(made.isfinite().logical_not().sum()) == 2


@pytest.mark.parametrize("rectified", [False, True])
def test_elsewhere_torch_does_it(rectified: bool) -> None:
    plain = photos((2, 3, 6, 6)).detach()
    others = [
        (photos((2, 3, 6, 6), dtype=torch.float32), 2),
        (photos((2, 3, 6, 6)), 3),
        (plain, 2),
        (plain.contiguous().requires_grad_(), 2),
    ]
    for x, size in others:
        made = max_pool(x, size, rectified=rectified)
        expected = F.max_pool2d(x, size)
        assert torch.equal(made, F.relu(expected) if rectified else expected)
        assert made.grad_fn is None or "PoolPairs" not in made.grad_fn.name()
