"""models.pooling: what torch computes, value by value and bit by bit."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from sortograph.models import build, plan, pooling
from sortograph.models.pooling import max_pool
from sortograph.recipe import Model
from sortograph.records import PreprocessSpec

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


@pytest.mark.parametrize("rectified", [False, True])
def test_photos_of_more_than_one_block(rectified: bool) -> None:
    x = photos((5, 16, 180, 180))
    made, expected = max_pool(x, 2, rectified=rectified), torchs(x, rectified=rectified)
    assert torch.equal(made, expected)
    assert torch.equal(gradient(made, x), gradient(expected, x))


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("channels", [3, 64])  # fewer than a vector holds, and some vectors
def test_infinities_and_positive_nans_are_passed_on(channels: int, rectified: bool) -> None:
    x = photos((2, channels, 4, 4)).detach().clone(memory_format=torch.channels_last)
    x[0, 0, 1, 0] = x[0, 1, 0, 0] = x[1, 1, 2, 3] = float("nan")
    x[1, 2, 3, 3] = float("inf")
    made = max_pool(x.requires_grad_(), 2, rectified=rectified)
    assert torch.equal(made.isnan(), torchs(x, rectified=rectified).isnan())
    assert made[1, 2, 1, 1].isinf()
    assert int(made.isfinite().logical_not().sum()) == 4


def test_the_nan_of_a_processor_is_passed_on_but_where_it_is_rectified_while_learning() -> None:
    """It has the sign of negative numbers."""
    x = photos((1, 16, 2, 2)).detach().fill_(-1)
    x.permute(0, 2, 3, 1).view(torch.int16)[0, 0, 0] = -1
    assert x[0, :, 0, 0].isnan().all()
    learning = x.clone(memory_format=torch.channels_last).requires_grad_()
    assert max_pool(learning, 2).isnan().all()
    assert max_pool(x, 2, rectified=True).isnan().all()
    assert not max_pool(learning, 2, rectified=True).any()


def test_what_was_pooled_may_be_changed_in_place() -> None:
    x = photos((1, 2, 4, 4))
    assert max_pool(x, 2).clamp_(min=0).requires_grad


@pytest.mark.parametrize("rectified", [False, True])
def test_zeros_of_both_signs(rectified: bool) -> None:
    x = photos((4, 16, 8, 8)).detach()
    x[x == 0] = -0.0
    x.requires_grad_()
    made, expected = max_pool(x, 2, rectified=rectified), torchs(x, rectified=rectified)
    assert torch.equal(made, expected)
    signs = torch.where(torch.arange(made.numel()).view(made.shape) % 2 == 0, 0.0, -0.0).to(made.dtype)
    found, wanted = (torch.autograd.grad(one, x, signs)[0] for one in (made, expected))
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("rectified", [False, True])
def test_gradients_may_lie_in_memory_as_they_like(rectified: bool) -> None:
    x = photos((3, 4, 6, 6))
    plain = torch.randn((3, 4, 3, 3), generator=torch.Generator().manual_seed(2)).bfloat16()
    for given_ in (
        plain,
        plain.transpose(2, 3),
        plain[:1].expand(3, 4, 3, 3),
        plain[:, :, :1, :1].expand(-1, -1, 3, 3),
    ):
        found, wanted = (
            torch.autograd.grad(make(x, rectified=rectified), x, given_)[0]
            for make in (lambda x, rectified: max_pool(x, 2, rectified=rectified), torchs)
        )
        assert torch.equal(found, wanted)


def test_there_is_no_second_derivative() -> None:
    x = photos((1, 2, 4, 4))
    (first,) = torch.autograd.grad(max_pool(x, 2).float().square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


@pytest.mark.parametrize("kind", ["cnn", "residual"])
@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_a_network_learns_as_with_torchs_own(
    kind: Literal["cnn", "residual"], activation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(kind=kind, filters=(8, 16), activation=activation, dense=(12,) if kind == "cnn" else ())
    spec = PreprocessSpec(size=(22, 26))
    network = build(plan(model, spec.size, 3), spec, "he", 1).train()
    x = torch.randint(0, 256, (5, 3, 22, 26), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)

    def gradients() -> list[Tensor]:
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            network(x).square().sum().backward()
        return [weight.grad.clone() for weight in network.parameters() if weight.grad is not None]

    seen = []
    real = pooling._PoolPairs.apply
    monkeypatch.setattr(pooling._PoolPairs, "apply", lambda *each: (seen.append(each[1]), real(*each))[1])
    ours = gradients()
    assert seen
    assert set(seen) == {activation == "relu" and kind == "cnn"}
    monkeypatch.setattr(pooling, "_pays", lambda _: False)
    theirs = gradients()
    assert len(ours) == len(theirs) > 4
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("rectified", [False, True])
def test_elsewhere_torch_does_it(rectified: bool) -> None:
    plain = photos((2, 3, 6, 6)).detach()
    others = [
        (photos((2, 3, 6, 6), dtype=torch.float32), 2),
        (photos((2, 3, 6, 6)), 3),
        (plain, 2),
        (plain.contiguous().requires_grad_(), 2),
        (photos((0, 3, 6, 6)), 2),
    ]
    for x, size in others:
        made = max_pool(x, size, rectified=rectified)
        expected = F.max_pool2d(x, size)
        assert torch.equal(made, F.relu(expected) if rectified else expected)
        assert made.grad_fn is None or "PoolPairs" not in made.grad_fn.name()
