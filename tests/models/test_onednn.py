"""models.onednn: what torch computes with dense tensors; to the bit where it says so."""

from __future__ import annotations

import platform
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from sortograph.models import Network, build, network, onednn, plan
from sortograph.models.layers import Activation, BatchNorm, Conv, Flatten, Pool, Residual
from sortograph.models.onednn import leading
from sortograph.recipe import Model
from sortograph.records import PreprocessSpec

TYPES = [torch.float32, torch.bfloat16]
HAS_TILES = torch.cpu.get_capabilities().get("amx_bf16", False)
SIZE = (22, 27)


def needs(dtype: torch.dtype) -> None:
    if not onednn._has_vectors(dtype):
        pytest.skip(f"oneDNN has no vectors of {dtype} on this processor")


def made(**model: Any) -> Network:
    recipe = Model(**{"filters": (8, 16), "dense": (), **model})
    net = build(plan(recipe, SIZE, 3), PreprocessSpec(size=SIZE), "he", 1)
    chance = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if name.endswith("bias"):
                weight.normal_(generator=chance)
    return net


def photos(count: int = 5) -> Tensor:
    chance = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (count, 3, *SIZE), generator=chance, dtype=torch.uint8)


def dense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "leading", lambda *_, **__: 0)


def learnt(net: Network, dtype: torch.dtype) -> dict[str, Tensor]:
    """Logits, gradients and what batch normalisation counts, of one step."""
    net.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        logits = net.train()(photos())
    (logits * torch.linspace(-1, 2, logits.numel()).view(logits.shape)).sum().backward()
    found = {"logits": logits.detach()}
    found |= {name: weight.grad for name, weight in net.named_parameters() if weight.grad is not None}
    return found | {name: value.clone() for name, value in net.named_buffers() if "running" in name}


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    "model",
    [
        {},
        {"filters": (3, 5, 9), "dense": (6,), "dropout": 0.2},
        {"kernel": 5, "convolutions": 2, "pool": 3},
        {"filters": (8,), "pool": 1},
        {"filters": (32, 64, 128)},
        {"kind": "residual", "stem": 2, "filters": (8, 8, 12)},
        {"kind": "residual", "filters": (32, 64)},
    ],
    ids=lambda model: ", ".join(model) or "cnn",
)
def test_a_network_learns_as_with_dense_tensors(
    model: dict[str, Any], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs(dtype)
    net = made(**model)
    convolved: list[torch.nn.Module] = []
    real = onednn.convolve
    monkeypatch.setattr(network, "convolve", lambda *each: (convolved.append(each[0]), real(*each))[1])
    found = learnt(net, dtype)
    convolutions = [module for module in net.modules() if isinstance(module, torch.nn.Conv2d)]
    assert set(convolved) == (set(convolutions) if model.get("pool") != 1 else set())
    dense(monkeypatch)
    wanted = learnt(net, dtype)
    assert len(wanted) == 1 + len(list(net.parameters()))
    for name, expected in wanted.items():
        if dtype == torch.bfloat16 and HAS_TILES:
            assert torch.equal(found[name], expected), name
        # Of nearly equal neighbours, sums in another order may choose another one.
        assert (found[name] - expected).norm() < 5e-2 * expected.norm(), name


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", ["cnn", "residual"])
def test_batch_normalisation_is_that_of_torch(
    kind: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bfloat16 as near to what float32 gives as torch's own."""
    needs(dtype)
    model = {"kind": kind, "batch_norm": True, "filters": (8, 16, 8), "batch_norm_momentum": 0.3}
    ours = learnt(made(**model), dtype)
    dense(monkeypatch)
    theirs, exact = learnt(made(**model), dtype), learnt(made(**model), torch.float32)
    assert sum("running" in name for name in exact) >= 6
    for name, expected in exact.items():
        if "bias" in name and "bn" not in name:
            continue  # before a normalisation it has no gradient but noise
        our_error, their_error = (
            (found[name] - expected).norm() / expected.norm() for found in (ours, theirs)
        )
        assert our_error <= 2 * their_error + 2e-5, name


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("batch_norm", [False, True])
def test_answers_are_those_of_dense_tensors(
    batch_norm: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs(dtype)
    net = made(batch_norm=batch_norm).eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        found = net(photos())
        dense(monkeypatch)
        wanted = net(photos())
    if dtype == torch.bfloat16 and not batch_norm:
        assert torch.equal(found, wanted)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5 if dtype == torch.float32 else 5e-2)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 20), st.integers(3, 9), st.integers(3, 9)),
    size=st.integers(2, 3),
    seed=st.integers(0, 1000),
    dtype=st.sampled_from(TYPES),
)
def test_of_equal_neighbours_the_same_one_gets_the_gradient(
    shape: tuple[int, ...], size: int, seed: int, dtype: torch.dtype
) -> None:
    needs(dtype)
    chance = torch.Generator().manual_seed(seed)
    values = (torch.randint(-2, 3, shape, generator=chance) / 2).to(dtype)
    given_: Tensor | None = None
    found = []
    for opaque in (True, False):
        x = values.clone().requires_grad_()
        pooled = F.relu(F.max_pool2d(x.to_mkldnn() if opaque else x, size, size))
        pooled = pooled.to_dense() if opaque else pooled
        if given_ is None:
            given_ = torch.randn(pooled.shape, generator=chance).to(dtype)
        pooled.backward(given_)
        found.append((pooled.detach(), x.grad))
    for ours, theirs in zip(*found, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("dtype", TYPES)
def test_infinities_are_passed_on_and_nan_is_not(dtype: torch.dtype) -> None:
    """So the loop looks at the weights, and not at the loss alone."""
    needs(dtype)
    nan, inf = float("nan"), float("inf")
    x = torch.full((1, 16, 2, 6), -1.0, dtype=dtype)
    x[..., 0, 0], x[..., 1, 3], x[..., 4:] = nan, inf, nan
    pooled = F.relu(F.max_pool2d(x.to_mkldnn(), 2, 2)).to_dense()
    assert pooled[0, 0, 0].tolist() == [0.0, inf, 0.0]
    assert F.relu(x.to_mkldnn()).to_dense()[0, 0].tolist() == [[0.0] * 6, [0.0, 0.0, 0.0, inf, 0.0, 0.0]]


def first(layers: list[Any], x: Tensor, training: bool = True) -> int:
    return leading(layers, x, training=training)


CONV, RELU, POOL = Conv("a", 3, 4, 3), Activation("relu"), Pool(2)


def test_the_first_layers_that_it_can_compute() -> None:
    needs(torch.float32)
    x = torch.zeros(1, 3, 8, 8)
    unit = Residual("u", (RELU, Conv("b", 4, 4, 3)), ())
    assert first([CONV, BatchNorm("n", 4), RELU, POOL, unit, Flatten(), CONV], x) == 5
    assert first([CONV, POOL, Activation("silu"), POOL], x) == 2
    assert first([CONV, Activation("silu"), POOL], x) == 0, "where torch is as quick"
    assert first([Conv("even", 3, 4, 4), RELU, POOL], x) == 0
    assert first([CONV, POOL, Residual("u", (Activation("gelu"),)), POOL], x) == 2
    assert first([], x) == 0


def test_in_evaluation_it_has_no_gradients() -> None:
    needs(torch.float32)
    x = torch.zeros(1, 3, 8, 8)
    assert first([CONV, POOL], x, training=False) == 0
    with torch.no_grad():
        assert first([CONV, POOL], x, training=False) == 2
    net = made(batch_norm=True).eval()
    net(photos()).sum().backward()
    assert all(weight.grad is not None for weight in net.parameters())


@pytest.mark.parametrize(
    "lacking",
    [(platform, "machine", lambda: "arm64"), (torch.backends.mkldnn, "is_available", lambda: False)],
    ids=["another processor", "torch without oneDNN"],
)
def test_elsewhere_there_are_none(lacking: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    layers, x = [CONV, POOL], torch.zeros(1, 3, 8, 8)
    assert not first(layers, x[:0])
    assert not first(layers, x.double())
    assert not first(layers, x.to("meta"))
    expected = made()(photos())
    monkeypatch.setattr(*lacking)
    onednn._has_vectors.cache_clear()
    try:
        assert not first(layers, x)
        torch.testing.assert_close(made()(photos()), expected, rtol=1e-4, atol=1e-4)
    finally:
        onednn._has_vectors.cache_clear()


@pytest.mark.parametrize("activation", ["silu", "gelu", "tanh"])
def test_activations_that_it_has_not_follow_its_tensors(
    activation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = made(activation=activation)(photos())
    dense(monkeypatch)
    torch.testing.assert_close(found, made(activation=activation)(photos()), rtol=1e-4, atol=1e-4)


def test_no_photos_give_no_answers() -> None:
    assert made()(photos(0)).shape == (0, 3)
