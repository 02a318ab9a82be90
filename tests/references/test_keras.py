"""The same weights give what Keras answers. How the file was recorded: benchmarks/make_keras_reference.py."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sortograph.export import answers_of, to_onnx
from sortograph.models import Network, build, plan
from sortograph.models.layers import EPSILON
from sortograph.recipe import Model, Train
from sortograph.records import PreprocessSpec
from sortograph.training.optim import make_optimiser, prepare_step

FILE = Path(__file__).with_name("keras_weights.npz")
MODELS = {
    "plain": Model(filters=(4, 6), dense=(8,)),
    "batchnorm": Model(filters=(4, 6), dense=(8,), batch_norm=True),
    "sigmoid": Model(filters=(4,), dense=(5,), output="sigmoid"),
    "dense": Model(kind="dense", dense=(7,)),
}
_LAYERS = {"dense0": "dense1", "dense1": "output"}
_LAYERS |= {f"{kind}{i}": f"block{i + 1}_{kind}1" for kind in ("conv", "bn") for i in (0, 1)}
_VARIABLES = {"kernel": "weight", "gamma": "weight", "beta": "bias"}
_VARIABLES |= {"moving_mean": "running_mean", "moving_variance": "running_var", "bias": "bias"}


@cache
def recorded() -> dict[str, NDArray[Any]]:
    with np.load(FILE) as file:
        return dict(file)


def weights(prefix: str) -> dict[str, torch.Tensor]:
    """Our names and layouts for the arrays under `prefix`: (H, W, in, out) → (out, in, H, W)."""
    found = {}
    for key, value in recorded().items():
        layer, _, variable = key.removeprefix(f"{prefix}/").partition("/")
        if key.startswith(f"{prefix}/") and layer in _LAYERS and variable in _VARIABLES:
            turned = value.transpose((3, 2, 0, 1) if value.ndim == 4 else None)
            found[f"{_LAYERS[layer]}.{_VARIABLES[variable]}"] = torch.from_numpy(turned.copy())
    return found


def photos(name: str) -> NDArray[np.uint8]:
    return recorded()[f"{name}/photos"]


def pixels(name: str) -> torch.Tensor:
    return torch.from_numpy(photos(name)).permute(0, 3, 1, 2)


def network(name: str) -> Network:
    spec = PreprocessSpec(size=photos(name).shape[1:3])
    made = plan(MODELS[name], spec.size, 2 if name == "sigmoid" else 3)
    net = build(made, spec, "keras", seed=0)
    missing, unexpected = net.load_state_dict(weights(name), strict=False)
    assert not unexpected
    assert all(key.endswith("num_batches_tracked") for key in missing)
    return net


def logits(name: str) -> NDArray[np.float32]:
    """What Keras answers; its single logit z as ours, [0, z]."""
    answer = recorded()[f"{name}/logits"]
    return np.pad(answer, ((0, 0), (1, 0))) if answer.shape[1] == 1 else answer


@pytest.mark.parametrize("name", MODELS)
def test_the_network_answers_as_keras(name):
    with torch.no_grad():
        ours = network(name).eval()(pixels(name)).numpy()
    np.testing.assert_allclose(ours, logits(name), atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_the_exported_graph_answers_as_keras(name):
    net = network(name)
    spec = PreprocessSpec(size=net.plan.size)
    graph = to_onnx(net.plan, spec, {key: value.numpy() for key, value in net.state_dict().items()})
    answers = answers_of(graph, photos(name))
    np.testing.assert_allclose(answers.logits, logits(name), atol=1e-4)
    if name == "sigmoid":
        np.testing.assert_allclose(
            answers.probabilities[:, 1:], recorded()["sigmoid/probabilities"], atol=1e-5
        )


def test_one_step_of_sgd_leads_to_the_same_weights():
    net = network("plain").train()
    optimiser = torch.optim.SGD(net.parameters(), lr=float(recorded()["plain/sgd/learning_rate"]))
    loss = torch.nn.functional.cross_entropy(
        net(pixels("plain")), torch.from_numpy(recorded()["plain/labels"])
    )
    loss.backward()
    optimiser.step()
    assert float(loss.detach()) == pytest.approx(float(recorded()["plain/sgd/losses"][0]), abs=1e-5)
    before, ours = weights("plain"), net.state_dict()
    for key, expected in weights("plain/sgd1").items():
        step = expected - before[key]
        assert step.abs().max() > 1e-6, key
        torch.testing.assert_close(ours[key] - before[key], step, rtol=1e-3, atol=1e-6)


def test_three_steps_of_adam_lead_to_the_same_weights():
    rate, epsilon = (float(recorded()[f"plain/adam/{key}"]) for key in ("learning_rate", "epsilon"))
    train = Train(optimiser="adam", learning_rate=rate, epsilon=epsilon)
    net = network("plain").train()
    optimiser = make_optimiser(train, net)
    before, labels = weights("plain"), torch.from_numpy(recorded()["plain/labels"])
    for step, recorded_loss in enumerate(recorded()["plain/adam/losses"].tolist()):
        loss = torch.nn.functional.cross_entropy(net(pixels("plain")), labels)
        assert float(loss.detach()) == pytest.approx(recorded_loss, abs=1e-5)
        optimiser.zero_grad()
        loss.backward()
        prepare_step(optimiser, train, rate, step)
        optimiser.step()
        ours = net.state_dict()
        for key, expected in weights(f"plain/adam{step + 1}").items():
            moved = expected - before[key]
            torch.testing.assert_close(ours[key] - before[key], moved, rtol=1e-3, atol=5e-6)


def test_batch_normalisation_trains_as_that_of_keras():
    assert pytest.approx(float(recorded()["batchnorm/epsilon"])) == EPSILON
    momentum = MODELS["batchnorm"].batch_norm_momentum
    assert 1 - float(recorded()["batchnorm/momentum"]) == pytest.approx(momentum)
    net = network("batchnorm").train()
    with torch.no_grad():
        ours = net(pixels("batchnorm")).numpy()
    np.testing.assert_allclose(ours, recorded()["batchnorm/training_logits"], atol=1e-4)
    state, before = net.state_dict(), weights("batchnorm")
    counts = {"block1": 4 * 20 * 24, "block2": 4 * 10 * 12}  # values per channel
    for key, expected in weights("batchnorm/trained").items():
        moved = expected - before[key]
        if key.endswith("running_var"):  # torch divides the variance of the batch by n - 1, Keras by n
            moved += (moved + momentum * before[key]) / (counts[key[:6]] - 1)
        torch.testing.assert_close(state[key] - before[key], moved, rtol=1e-4, atol=1e-6)
