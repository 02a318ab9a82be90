"""Embeddings by torch; here on the CPU, where they must be those of the exported graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from sortograph.models import accelerated
from sortograph.models.accelerated import TorchEmbedder, may_have_gpu, torch_embedder
from sortograph.models.embedding import EmbeddingNetwork
from sortograph.records import Backbone, PreprocessSpec

SPEC = PreprocessSpec(size=(8, 8), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
BACKBONE = Backbone("toy.test", "timm", "toy", SPEC, "ab" * 32, features=5, parameters=20)


@pytest.fixture
def network(monkeypatch):
    """A convolution and a mean, in the place of a network of timm."""
    torch.manual_seed(3)
    body = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    made = EmbeddingNetwork(body, SPEC)
    monkeypatch.setattr("sortograph.models.backbone.build_backbone", lambda _: made)
    return made


def photos(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)


def plain(network, batch):
    with torch.inference_mode():
        return network(torch.from_numpy(batch.copy()).permute(0, 3, 1, 2)).numpy()


@pytest.mark.parametrize("count", [1, 3, 130])
def test_embeddings_are_those_of_the_network(network, count):
    batch = photos(count)
    made = TorchEmbedder(BACKBONE, "cpu").embed(batch)
    assert (made.dtype, made.shape) == (np.float32, (count, 5))
    np.testing.assert_allclose(made, plain(network, batch), atol=1e-6)


def test_mirrored_is_the_mean_of_both(network):
    batch = photos(4)
    made = TorchEmbedder(BACKBONE, "cpu", mirror=True).embed(batch)
    np.testing.assert_allclose(
        made, (plain(network, batch) + plain(network, batch[:, :, ::-1])) / 2, atol=1e-6
    )


def test_the_key_names_weights_device_precision_and_mirror(network):
    keys = {TorchEmbedder(BACKBONE, "cpu").key, TorchEmbedder(BACKBONE, "cpu", mirror=True).key}
    others = {"arguments": {"pad_type": "same"}, "weights": "cd" * 32, "architecture": "toy2"}
    keys |= {TorchEmbedder(replace(BACKBONE, **{name: value}), "cpu").key for name, value in others.items()}
    assert len(keys) == 5
    assert TorchEmbedder(replace(BACKBONE, name="again.test"), "cpu").key in keys
    assert all("cpu" in key for key in keys)


def test_without_a_gpu_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: None)
    assert torch_embedder(BACKBONE) is None


@pytest.mark.parametrize(("tool", "expected"), [(None, False), ("/usr/bin/nvidia-smi", True)])
def test_torch_is_asked_only_where_there_are_signs_of_a_driver(monkeypatch, tool, expected):
    monkeypatch.setattr(accelerated.shutil, "which", lambda _: tool)
    monkeypatch.setattr(accelerated, "_DRIVERS", ("/nowhere/at/all",))
    monkeypatch.setattr(accelerated.sys, "platform", "linux")
    assert may_have_gpu() is expected
