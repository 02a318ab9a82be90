from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sortograph.models import Network, build, plan
from sortograph.models.network import _dropped
from sortograph.recipe import Model
from sortograph.records import PreprocessSpec

SIZE = (12, 10)
SPEC = PreprocessSpec(size=SIZE, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


def network(model: Model, classes: int = 3, seed: int = 1) -> Network:
    return build(plan(model, SIZE, classes), SPEC, model.initialisation, seed)


def photos(count: int = 4, seed: int = 0) -> Tensor:
    """uint8 (count, 3, H, W) in channels-last memory, as photos to be judged are handed over."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, *SIZE, 3), dtype=np.uint8)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def gradients(net: Network, loss: Tensor) -> dict[str, Tensor]:
    net.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in net.named_parameters()}


@pytest.mark.parametrize(
    "model",
    [
        Model(filters=(4, 6), dense=(8,), batch_norm=True, convolutions=2),
        Model(kind="residual", filters=(4, 6), dense=(), global_pool="average", stem=2),
        Model(kind="dense", dense=(8,)),
    ],
)
def test_arrays_are_those_of_the_plan(model):
    net = network(model)
    arrays = {k: tuple(v.shape) for k, v in net.state_dict().items() if not k.endswith("_tracked")}
    assert arrays == net.plan.weights()
    trained = sum(p.numel() for p in net.parameters())
    assert trained == net.plan.parameters


def test_whole_and_real_numbers_give_the_same_and_stay_as_they_were():
    net, whole = network(Model(filters=(4,))).eval(), photos()
    real = whole.to(torch.float32)
    before = real.clone()
    assert torch.equal(net(whole), net(real))
    assert torch.equal(real, before)
    plain_memory = real.contiguous()
    torch.testing.assert_close(net(plain_memory), net(real))


def test_pixels_are_normalised_inside():
    net, x = network(Model(kind="dense", dense=())).eval(), photos()
    pixels = x.permute(0, 2, 3, 1).numpy().astype(np.float64)
    expected = (pixels / 255 - SPEC.mean) / SPEC.std
    np.testing.assert_allclose(net.embed(x).detach(), expected.reshape(4, -1), atol=1e-5)


def test_flattening_a_channels_last_map_copies_nothing(monkeypatch):
    """Height, width, channel: the order of memory, so that the embedding shares it with the photo."""
    x = torch.rand(2, 4, 3, 5).contiguous(memory_format=torch.channels_last)
    net = network(Model(filters=(4,), dense=()))
    flatten = next(layer for layer in net.plan.layers if type(layer).__name__ == "Flatten")
    assert net._step(flatten, x, inplace=False).data_ptr() == x.data_ptr()


@pytest.mark.parametrize(("kernel", "stem"), [(3, 2), (2, 2), (4, 1), (5, 3), (1, 4)])
def test_maps_have_the_planned_shapes(kernel, stem):
    model = Model(kind="residual", filters=(4, 6), kernel=kernel, stem=stem, dense=())
    net = network(model)
    assert net.embed(photos()).shape == (4, net.plan.embedding)
    assert net(photos()).shape == (4, 3)


def test_first_weights_depend_on_the_seed_alone():
    before = torch.get_rng_state()
    one, same, other = (network(Model(filters=(4,)), seed=seed).state_dict() for seed in (7, 7, 8))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["block1_conv1.weight"], other["block1_conv1.weight"])


def test_keras_draws_glorot_uniform():
    weight = network(Model(filters=(64,), kernel=5, dense=())).get_submodule("block1_conv1").weight
    limit = math.sqrt(6 / (25 * (3 + 64)))
    assert float(weight.detach().abs().max()) <= limit
    assert float(weight.detach().std()) == pytest.approx(limit / math.sqrt(3), rel=0.05)


def test_he_draws_normal_numbers():
    model = Model(filters=(64,), kernel=5, dense=(50,), initialisation="he")
    net = network(model)
    wanted = {"block1_conv1": 2 / (25 * 64), "dense1": 2 / (6 * 5 * 64), "output": 1 / 50}
    for name, variance in wanted.items():
        layer = net.get_submodule(name)
        # Of n normal numbers, the deviation has a standard error of one part in √(2n): 6 % for 150.
        assert float(layer.weight.detach().std()) == pytest.approx(math.sqrt(variance), rel=0.2)
        assert not layer.bias.detach().any()


def test_two_classes_train_alike_however_their_labels_are_written():
    """int, one-hot and binary labels: the same gradients, and those of a sigmoid with one output."""
    net = network(Model(filters=(4,), dense=(6,), output="sigmoid"), classes=2)
    labels = torch.tensor([0, 1, 1, 0])
    one_hot = F.one_hot(labels, 2).float()
    z = net.get_submodule("output")(net.embed(photos()))[:, 0]
    found = [
        gradients(net, F.cross_entropy(net(photos()), labels)),
        gradients(net, F.cross_entropy(net(photos()), one_hot)),
        gradients(net, F.binary_cross_entropy_with_logits(z, labels.float())),
    ]
    for other in found[1:]:
        for name, gradient in found[0].items():
            torch.testing.assert_close(other[name], gradient, rtol=1e-5, atol=1e-7)


def test_softmax_of_the_logits_is_the_sigmoid():
    net = network(Model(filters=(4,), output="sigmoid"), classes=2).eval()
    z = net.get_submodule("output")(net.embed(photos()))
    torch.testing.assert_close(net(photos()).softmax(1)[:, 1:], z.sigmoid())


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("kind", ["cnn", "residual"])
def test_activations_in_place_do_not_change_the_gradients(kind, batch_norm, monkeypatch):
    model = Model(kind=kind, filters=(4, 4, 6), batch_norm=batch_norm, dense=(5,), global_pool="average")
    labels = torch.tensor([0, 1, 2, 1])
    net = network(model)
    fast = gradients(net, F.cross_entropy(net(photos()), labels))
    monkeypatch.setattr(F, "relu", lambda x, inplace: torch.relu(x))
    careful = gradients(net, F.cross_entropy(net(photos()), labels))
    for name, gradient in careful.items():
        torch.testing.assert_close(fast[name], gradient, rtol=1e-5, atol=1e-7)


def test_pooling_before_the_activation_gives_the_same_answers_and_gradients():
    net = network(Model(filters=(4,), dense=()))
    pixels = (photos() * net.scale + net.offset).contiguous()
    convolved = net.get_submodule("block1_conv1")(pixels)
    features = F.max_pool2d(F.relu(convolved), 2).permute(0, 2, 3, 1).flatten(1)
    labels = torch.tensor([0, 1, 2, 1])
    usual = gradients(net, F.cross_entropy(net.get_submodule("output")(features), labels))
    ours = gradients(net, F.cross_entropy(net(photos()), labels))
    for name, gradient in usual.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-4, atol=1e-6)


def test_batch_norm_uses_its_statistics_only_after_training():
    net = network(Model(filters=(4,), batch_norm=True, dense=()))
    net.train()(photos())
    alone, together = net.eval()(photos()[:1]), net(photos())[:1]
    torch.testing.assert_close(alone, together)
    assert not torch.allclose(net.train()(photos())[:1], together, atol=1e-3)


def test_dropout_follows_its_seed_alone_and_rests_in_evaluation():
    net = network(Model(filters=(4,), dropout=0.5, dense=(6,), dense_dropout=0.5))
    answers = []
    before = torch.get_rng_state()
    for seed in (3, 3, 4):
        net.dropout_seed = seed
        answers.append(net.train()(photos()))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(answers[0], answers[1])
    assert not torch.equal(answers[0], answers[2])
    assert torch.equal(net.eval()(photos()), net(photos()))


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5, 0.9])
def test_dropout_leaves_out_its_share_and_keeps_the_mean(rate):
    values = torch.ones(300, 1001)
    first, second = (_dropped(values, rate, (7, number)) for number in (1, 2))
    assert float((first == 0).float().mean()) == pytest.approx(rate, abs=0.005)
    assert float(first.mean()) == pytest.approx(1, abs=0.02)
    assert first.unique().numel() == 2
    assert not torch.equal(first, second), "layers differ"
    assert not torch.equal(first[0], first[1]), "photos differ"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_dropout_keeps_the_same_values_of_every_type(rate, dtype):
    values = torch.linspace(-3, 3, 5 * 333).view(5, 333).to(dtype)
    made, plain = _dropped(values, rate, (7, 1)), _dropped(torch.ones(5, 333), rate, (7, 1))
    kept = plain != 0
    assert made.dtype == dtype
    assert torch.equal(made[kept], values[kept] * plain.max().to(dtype))
    assert not made[~kept].any()
    assert 0 < int(kept.sum()) < kept.numel()


@pytest.mark.parametrize("kind", ["cnn", "dense"])
def test_only_a_convolution_sees_pixels_rounded(kind, monkeypatch):
    net = network(Model(kind=kind, filters=(4,), pool=1, dense=()))
    seen, step = [], net._step
    monkeypatch.setattr(net, "_step", lambda layer, x, inplace: (seen.append(x), step(layer, x, inplace))[1])
    with torch.autocast("cpu", torch.bfloat16):
        net(photos())
    assert seen[0].dtype == (torch.bfloat16 if kind == "cnn" else torch.float32)
    exact = torch.addcmul(net.offset, photos().float(), net.scale)
    assert torch.equal(seen[0].to_dense(), exact.to(seen[0].dtype))


@pytest.mark.parametrize("kind", ["cnn", "residual", "dense"])
def test_autocast_returns_real_logits_near_those_without(kind):
    net = network(Model(kind=kind, filters=(4, 6), dense=(8,), batch_norm=True)).eval()
    with torch.autocast("cpu", torch.bfloat16):
        fast = net(photos())
    assert fast.dtype == torch.float32
    torch.testing.assert_close(fast, net(photos()), rtol=0.05, atol=0.05)
